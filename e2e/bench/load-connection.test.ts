import { expect, test } from "vitest";
import { AnswerReader } from "./load-connection.ts";

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

test("sees that a connection ends", () => {
  const reader = new AnswerReader();
  expect(reader.push(Buffer.from("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))).toBe(503);
  expect(reader.closes).toBe(true);
});
