import { describe, expect, test } from "vitest";
import { eventually, httpOrigin, RawClient, remoteAt, requestFor, TestProxy } from "./proxy-fixture.ts";

// The caller's side of an answer that the callee's sidecar gave for itself.

const policy = { locality: { mode: "ordered" as const, order: ["region-of-first" as never] } };

/** Two places: the first refuses with this status and reason, the second answers. Gives what a client saw and how often each was asked. */
async function ask(method: "GET" | "POST", status: number, reason: string, times = 20) {
  const asked = { first: 0, second: 0 };
  await using first = await httpOrigin((request, response) => {
    asked.first++;
    request.resume();
    request.on("end", () => {
      response.writeHead(status, { "x-atoll-reason": reason, "x-atoll-other": "1" });
      response.end(`${reason}\n`);
    });
  });
  await using second = await httpOrigin((request, response) => {
    asked.second++;
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => void response.end(`second ${body}`));
  });
  await using proxy = await TestProxy.open([remoteAt("first", first.port), remoteAt("second", second.port)], { policy, log: { format: "json" } });
  using client = await RawClient.connect(proxy.server.port);
  const answers: string[] = [];
  for (let count = 0; count < times; count++) {
    client.write(requestFor(method, "/", "", method === "POST" ? "body" : ""));
    const answer = await client.response();
    answers.push(`${answer.status} ${answer.body.trim()}`);
    if (count === 0) expect(answer.head).not.toContain("x-atoll-other");
  }
  const refusals = [...proxy.telemetry.series()].map((series) => [series.cluster, [...series.refusals.values()].map(({ refusal, count }) => `${refusal.reason} ${count}`)]);
  const evidence = proxy.health.evidenceOf({ host: "catalog.web.svc.shop.example" } as never, "first" as never);
  return { answers: [...new Set(answers)], asked, refusals, failures: evidence.requests.consecutiveFailures + evidence.requests.ejections, log: JSON.parse(proxy.logLines[0] ?? "") as object };
}

describe("a refusal that every place would repeat", () => {
  test.each([
    [403, "caller_not_allowed", "UAEX"],
    [503, "over_limit", "UO"],
    [503, "queue_timeout", "UO"],
    [503, "proxy_overloaded", "UO"],
    [504, "deadline_exceeded", "UT"],
    [504, "request_timeout", "UT"],
  ])("is final and no evidence: %i %s", async (status, reason, flag) => {
    // After ten of a kind that speaks of load, the caller would refuse most of them by itself.
    const times = flag === "UO" ? 9 : 20;
    const { answers, asked, refusals, failures, log } = await ask("GET", status, reason, times);
    expect(answers).toEqual([`${status} ${reason}`]);
    expect(asked).toEqual({ first: times, second: 0 });
    expect(refusals).toEqual([["first", [`${reason} ${times}`]]]);
    expect(failures).toBe(0);
    expect(log).toMatchObject({ response_code: status, response_flags: flag, response_code_details: reason, attempts: 1, upstream_cluster: "first" });
  });
});

describe("a refusal of one place alone", () => {
  test.each(["app_unreachable", "draining"])("is repeated elsewhere, also a POST, since the application has not seen it: %s", async (reason) => {
    for (const method of ["GET", "POST"] as const) {
      const { answers, asked } = await ask(method, 503, reason);
      expect(answers).toEqual([method === "POST" ? "200 second body" : "200 second"]);
      expect(asked.second).toBe(20);
    }
  });

  test("by drain says nothing of its health", async () => {
    expect(await ask("GET", 503, "draining")).toMatchObject({ failures: 0 });
  });
});

test("a reason that we do not know changes nothing, nor does one of an application's own on a good answer", async () => {
  expect((await ask("GET", 503, "something_newer")).answers).toContain("200 second");
  expect((await ask("GET", 200, "caller_not_allowed")).answers).toEqual(["200 caller_not_allowed"]);
});

test("a refusal leaves its connection whole for the next request", async () => {
  await using first = await httpOrigin((_request, response) => {
    response.writeHead(403, { "x-atoll-reason": "caller_not_allowed" });
    response.end("caller_not_allowed\n");
  });
  await using proxy = await TestProxy.open([remoteAt("first", first.port)]);
  using client = await RawClient.connect(proxy.server.port);
  for (let count = 0; count < 5; count++) {
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(403);
  }
  await eventually(() => proxy.telemetry.active === 0);
  expect(first.sockets).toHaveLength(1);
});
