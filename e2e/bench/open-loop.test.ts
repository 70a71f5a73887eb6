import { createServer } from "node:http";
import { expect, test } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { AnswerReader, runOpenLoop } from "./open-loop.ts";

test("finds the end of an answer however it is cut", () => {
  const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  for (let cut = 1; cut < answer.length; cut++) {
    const reader = new AnswerReader();
    expect(reader.push(answer.subarray(0, cut))).toBe(0);
    expect(reader.push(answer.subarray(cut))).toBe(200);
  }
});

test("finds the end of a chunked answer", () => {
  const reader = new AnswerReader();
  expect(reader.push(Buffer.from("HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n"))).toBe(0);
  expect(reader.push(Buffer.from("0\r\n\r\n"))).toBe(503);
});

test("sends every planned request, and counts refusals as errors", async () => {
  let served = 0;
  const server = createServer((_, response) => {
    served++;
    response.statusCode = served % 4 === 0 ? 503 : 200;
    response.end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    const result = await runOpenLoop({ port, host: "x", requestsPerSecond: 200, seconds: 0.2, warmUpSeconds: 0, connections: 4 }, systemClock);
    expect(served).toBe(40);
    expect(result).toMatchObject({ answered: 30, errors: 10 });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
