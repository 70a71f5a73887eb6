import { connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { httpFaults, type HttpFault } from "./http-fault.ts";
import { localAt, RawClient, rawOrigin, TestProxy, type TestOrigin } from "./proxy-fixture.ts";
import { smugglingCorpus } from "./smuggling-corpus.ts";

let origin: TestOrigin;
let proxy: TestProxy;

beforeAll(async () => {
  origin = await rawOrigin((socket) => void socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")));
  proxy = await TestProxy.open([localAt(origin.port)]);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

describe("a message that is refused", () => {
  test.each([
    ["a coding list that does not end in chunked", "POST / HTTP/1.1\r\nHost: catalog.web\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400],
    ["a coding that nobody undoes, before chunked", "POST / HTTP/1.1\r\nHost: catalog.web\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501],
    ["a space in the target", "GET /a b HTTP/1.1\r\nHost: catalog.web\r\n\r\n", 400],
    ["a malformed version", "GET / HTTP/one\r\nHost: catalog.web\r\n\r\n", 400],
    ["another version", "GET / HTTP/2.0\r\nHost: catalog.web\r\n\r\n", 505],
    ["a method that nobody knows", "BREW / HTTP/1.1\r\nHost: catalog.web\r\n\r\n", 501],
    ["a target that is too long", `GET /${"a".repeat(9_000)} HTTP/1.1\r\nHost: catalog.web\r\n\r\n`, 414],
    ["too many fields", `GET / HTTP/1.1\r\nHost: catalog.web\r\n${"X: a\r\n".repeat(101)}\r\n`, 431],
  ])("for %s has the RFC's status, and the connection ends", async (_what, text, status) => {
    using client = await RawClient.connect(proxy.server.port);
    client.write(text);
    const answer = await client.response();
    expect(answer.status).toBe(status);
    expect(answer.head.toLowerCase()).toContain("connection: close");
  });

  test("has a fault that is there, for every request that readers differ about", () => {
    for (const { fault } of smugglingCorpus) expect(httpFaults[fault as HttpFault]).toBeGreaterThanOrEqual(400);
  });

  test("is told to a client of HTTP/2 in its own words", async () => {
    const session = connect(`http://127.0.0.1:${proxy.server.port}`);
    const told = new Promise<readonly [number, string]>((resolve, reject) => {
      session.on("goaway", (code: number, _last: number, data?: Buffer) => resolve([code, data?.toString("latin1") ?? ""]));
      session.on("error", reject);
    });
    session.request({ ":path": "/" }).on("error", () => undefined);
    // HTTP_1_1_REQUIRED.
    expect(await told).toEqual([13, "this port speaks HTTP/1.1"]);
    session.destroy();
    expect(proxy.server.http.faults.get("http2_preface")).toBe(1);
  });
});
