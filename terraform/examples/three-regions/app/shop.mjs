// An application that knows of Atoll no more than three variables: where to listen, through what to call others, and in which region it is.
import { createServer, request } from "node:http";

const { PORT, ATOLL_OUTBOUND, ATOLL_REGION } = process.env;

createServer((incoming, answer) => {
  answer.setHeader("x-region", ATOLL_REGION);
  if (incoming.url !== "/stock") {
    answer.end(`${ATOLL_REGION}\n`);
    return;
  }
  // Whoever has stock answers, wherever it is.
  request(`${ATOLL_OUTBOUND}/`, { headers: { host: "stock.web" } }, (stock) => {
    answer.writeHead(stock.statusCode, { "x-stock-region": stock.headers["x-region"] ?? "" });
    stock.pipe(answer);
  })
    .on("error", (error) => answer.writeHead(502).end(`${error.message}\n`))
    .end();
}).listen(Number(PORT), "127.0.0.1");
