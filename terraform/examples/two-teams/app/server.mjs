// Every service of the example: it says its word and its region, and passes what is asked for below /call/HOST on to that host.
import { createServer, request } from "node:http";

const { ATOLL_OUTBOUND, ATOLL_REGION, PORT, WORD = "welcome" } = process.env;

createServer((asked, answer) => {
  const [word, host] = (asked.url ?? "/").slice(1).split("/");
  if (word !== "call") {
    answer.end(`${WORD} in ${ATOLL_REGION}\n`);
    return;
  }
  request(`${ATOLL_OUTBOUND}/`, { headers: { host } }, (inner) => {
    answer.writeHead(inner.statusCode);
    inner.pipe(answer);
  })
    .on("error", (error) => answer.writeHead(502).end(`${error.message}\n`))
    .end();
}).listen(Number(PORT), "127.0.0.1");
