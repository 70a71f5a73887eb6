import * as fc from "fast-check";
import { expect, test } from "vitest";
import { eventually, localAt, RawClient, requestFor, TestProxy } from "../http/proxy-fixture.ts";
import { endFlag, frameHeadBytes, frameKinds, kindMask, preludeBytes } from "./frames.ts";
import { PlayedConnector, TestCallee } from "./hop-fixture.ts";
import { readRefusal } from "./read-refusal.ts";
import { bytesOf } from "./sessions.fuzz.ts";

function payloadOf(status: number, reason: Buffer): Buffer {
  const prelude = Buffer.alloc(preludeBytes.refusal);
  prelude.writeUInt16BE(status, 6);
  return Buffer.concat([prelude, reason]);
}

test("a refusal is read when its status is one of an error and its reason fits into a header field, and only then", () => {
  expect(readRefusal(payloadOf(503, Buffer.from("upstream_head_too_large; max=65536")), 0, preludeBytes.refusal + 34)).toEqual({ status: 503, reason: "upstream_head_too_large; max=65536", flag: 0, seenByApp: false, retryAfterMs: 0 });
  fc.assert(
    fc.property(fc.nat({ max: 0xffff }), fc.uint8Array({ maxLength: 140 }), (status, reason) => {
      const payload = payloadOf(status, Buffer.from(reason));
      const read = readRefusal(payload, 0, payload.length);
      const isFit = status >= 400 && status < 600 && /^[!-~]([ -~]{0,126}[!-~])?$/.test(Buffer.from(reason).toString("latin1"));
      expect(read !== undefined).toBe(isFit);
    }),
    { numRuns: 2_000 },
  );
});

test("a peer's reason cannot become lines of an answer: its connection ends, and the client has an answer of its own sidecar", async () => {
  await using callee = await TestCallee.open(1, {
    instead: (socket) => {
      let bytes = Buffer.alloc(0);
      socket.write(bytesOf([{ kind: frameKinds.settings, stream: 0, payload: Buffer.from([0, 1, 0, 0, 0, 100, 0]) }]));
      socket.on("data", (chunk) => {
        bytes = Buffer.concat([bytes, chunk]);
        for (; bytes.length >= frameHeadBytes && bytes.length >= frameHeadBytes + bytes.readUIntBE(0, 3); bytes = bytes.subarray(frameHeadBytes + bytes.readUIntBE(0, 3))) {
          if ((bytes.readUInt8(3) & kindMask) !== frameKinds.request) continue;
          socket.write(bytesOf([{ kind: frameKinds.refusal | endFlag, stream: bytes.readUInt32BE(4), payload: payloadOf(403, Buffer.from("no\r\nset-cookie: stolen=1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")) }]));
        }
      });
    },
  });
  await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
  using client = await RawClient.connect(proxy.server.port);
  client.write(requestFor("POST", "/", "", "x"));
  const answer = await client.response();
  expect(answer.status).toBe(503);
  expect(client.text + answer.head).not.toContain("stolen");
  await eventually(() => callee.sockets[0]?.readableEnded === true || callee.sockets[0]?.destroyed === true);
});
