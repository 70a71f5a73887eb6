import { expect, test } from "vitest";
import { OverloadLines, overloadLinesPerSecond } from "./access-log.ts";
import { eventually, httpOrigin, localAt, RawClient, requestFor, TestProxy } from "./proxy-fixture.ts";

test("a text line is Envoy's default format, and what a client sends cannot break out of its quotes", async () => {
  await using origin = await httpOrigin((request, response) => {
    request.resume();
    request.on("end", () => response.end("12345"));
  });
  await using proxy = await TestProxy.open([localAt(origin.port)]);
  using client = await RawClient.connect(proxy.server.port);
  client.write(requestFor("POST", '/a?"b"', 'User-Agent: evil" 200 - \\\r\nX-Request-Id: r1\r\nX-Forwarded-For: 10.0.0.9\r\n', "abc"));
  await client.response();
  expect(proxy.logLines).toEqual([
    `[2026-01-01T00:00:00.000Z] "POST /a?\\"b\\" HTTP/1.1" 200 - 3 5 0 0 "10.0.0.9" "evil\\" 200 - \\\\" "r1" "catalog.web" "127.0.0.1:${origin.port}"\n`,
  ]);
});

test("a JSON line names the place, the attempts and the reason", async () => {
  await using origin = await httpOrigin((_request, response) => void response.end("ok"));
  await using proxy = await TestProxy.open([localAt(origin.port)], { log: { format: "json" } });
  using client = await RawClient.connect(proxy.server.port);
  client.write(requestFor("GET", "/"));
  await client.response();
  await eventually(() => proxy.logLines.length === 1);
  expect(JSON.parse(proxy.logLines[0] ?? "")).toMatchObject({
    method: "GET",
    path: "/",
    response_code: 200,
    response_flags: "-",
    response_code_details: "via_upstream",
    upstream_cluster: "here",
    upstream_region: "eu",
    route_name: "catalog.web.svc.shop.example",
    attempts: 1,
    user_agent: null,
    downstream_peer: null,
  });
});

test("the filter for failures passes what failed here or upstream and nothing else", async () => {
  await using origin = await httpOrigin((request, response) => {
    response.statusCode = request.url === "/broken" ? 500 : request.url === "/missing" ? 404 : 200;
    response.end("ok");
  });
  await using proxy = await TestProxy.open([localAt(origin.port)], { log: { format: "json", filter: "failures" } });
  using client = await RawClient.connect(proxy.server.port);
  const statuses: number[] = [];
  for (const path of ["/", "/missing", "/broken"]) {
    client.write(requestFor("GET", path));
    statuses.push((await client.response()).status);
  }
  client.write("GET /nobody HTTP/1.1\r\nHost: nobody.web\r\n\r\n");
  statuses.push((await client.response()).status);
  expect(statuses).toEqual([200, 404, 500, 404]);
  expect(proxy.logLines.map((line) => (JSON.parse(line) as { path: string }).path)).toEqual(["/broken", "/nobody"]);
});

test("of refusals under overload only so many a second get a line, and the rest is counted", () => {
  const lines = new OverloadLines();
  let written = 0;
  for (let nowMs = 10_000; nowMs < 13_000; nowMs++) written += lines.take(nowMs) ? 1 : 0;
  expect(written).toBe(3 * overloadLinesPerSecond);
  expect(lines.omitted).toBe(3_000 - written);
});

test("a flood of refusals under overload leaves other failures their lines", async () => {
  await using origin = await httpOrigin((_request, response) => void response.end("ok"));
  await using proxy = await TestProxy.open([localAt(origin.port)], { log: { format: "json", filter: "failures" }, requestsInFlightMax: 0 });
  using client = await RawClient.connect(proxy.server.port);
  for (let at = 0; at < overloadLinesPerSecond + 20; at++) {
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(503);
  }
  client.write("GET /nobody HTTP/1.1\r\nHost: nobody.web\r\n\r\n");
  expect((await client.response()).status).toBe(404);
  const flags = proxy.logLines.map((line) => (JSON.parse(line) as { response_flags: string }).response_flags);
  expect(flags.filter((flag) => flag === "UO")).toHaveLength(overloadLinesPerSecond);
  expect(flags.filter((flag) => flag === "NR")).toHaveLength(1);
});
