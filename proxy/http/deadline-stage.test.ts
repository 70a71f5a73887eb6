import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { defaultTrafficPolicy, timeoutMsMax } from "#federation/model/traffic-policy.ts";
import type { TimeoutPolicy } from "#federation/model/traffic-policy.ts";
import { RetryBudget } from "#federation/routing/retry-budget.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { LocalStall } from "../health/local-stall.ts";
import { inboundTrafficPolicy } from "../inbound-apps.ts";
import type { Candidate, Outcome } from "../upstream/chooser.ts";
import type { ConnectionUser, Upstream } from "../upstream/upstream.ts";
import { DeadlineStage } from "./deadline-stage.ts";
import { Continue, Exchange, Wait } from "./exchange.ts";
import type { ClientSide, Route, Stage } from "./exchange.ts";
import { ForwardStage } from "./forward-stage.ts";
import { defaultHttpLimits } from "./http-limits.ts";
import { HttpServer } from "./http-server.ts";
import { eventually, httpOrigin, localAt, RawClient, rawOrigin, remoteAt, requestFor, TestProxy } from "./proxy-fixture.ts";
import { hopTimeoutMs } from "./time-fields.ts";
import { TimingWheel } from "./timing-wheel.ts";

const timeouts = (more: Partial<TimeoutPolicy>): { readonly timeouts: TimeoutPolicy } => ({ timeouts: { ...defaultTrafficPolicy.timeouts, ...more } });

/** A server that takes requests and hands its sockets to the test. */
async function silentOrigin() {
  const received: string[] = [];
  const sockets: Socket[] = [];
  const origin = await rawOrigin((socket) => {
    sockets.push(socket);
    socket.on("data", (chunk: Buffer) => received.push(chunk.toString("latin1")));
  });
  return { port: origin.port, sockets, text: () => received.join(""), [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose]() };
}

describe("a response that flows", () => {
  test("is not cut, however long it takes; silence ends it", async () => {
    await using origin = await silentOrigin();
    await using proxy = await TestProxy.open([localAt(origin.port)], { policy: timeouts({ requestMs: 15_000, idleMs: 10_000 }) });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/events"));
    await eventually(() => origin.text() !== "");
    origin.sockets[0]?.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n0\n\r\n");
    await client.until(() => client.text.includes("0\n"));
    for (let event = 1; event <= 6; event++) {
      await proxy.clock.advance(8_000);
      origin.sockets[0]?.write(`2\r\n${event}\n\r\n`);
      await client.until(() => client.text.includes(`${event}\n`));
    }
    await proxy.clock.advance(11_000);
    await eventually(() => client.closed);
    expect(client.failed).toBe(true);
    expect(proxy.logLines[0]).toContain(" 200 SI ");
    // Nothing behind it goes on, and it says nothing of the place.
    await eventually(() => origin.sockets[0]?.destroyed === true || origin.sockets[0]?.readableEnded === true);
    expect(proxy.health.evidenceOf({ host: "catalog.web.svc.shop.example" } as never, "here" as never).requests.consecutiveFailures).toBe(0);
  });

  test("is cut when the policy bounds the whole exchange", async () => {
    await using origin = await silentOrigin();
    await using proxy = await TestProxy.open([localAt(origin.port)], { policy: timeouts({ streamMs: 5_000 }), log: { format: "json" } });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await eventually(() => origin.text() !== "");
    origin.sockets[0]?.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n0\n\r\n");
    await client.until(() => client.text.includes("0\n"));
    await proxy.clock.advance(5_100);
    await eventually(() => client.closed);
    expect(JSON.parse(proxy.logLines[0] ?? "")).toMatchObject({ response_code: 200, response_flags: "UT", response_code_details: "stream_timeout" });
  });
});

describe("a request body that flows", () => {
  const piece = "5\r\nhello\r\n";
  const start = async (policy: Partial<TimeoutPolicy>) => {
    const origin = await silentOrigin();
    const proxy = await TestProxy.open([localAt(origin.port)], { policy: timeouts(policy) });
    const client = await RawClient.connect(proxy.server.port);
    client.write(`POST / HTTP/1.1\r\nHost: catalog.web\r\nTransfer-Encoding: chunked\r\n\r\n${piece}`);
    await eventually(() => proxy.wheel.size >= 3);
    await proxy.clock.advance(300);
    await eventually(() => origin.text().includes("hello"));
    return {
      origin,
      proxy,
      client,
      async [Symbol.asyncDispose]() {
        client[Symbol.dispose]();
        await proxy[Symbol.asyncDispose]();
        await origin[Symbol.asyncDispose]();
      },
    };
  };

  test("is not cut, and the time for the answer begins at its end", async () => {
    await using sending = await start({ requestMs: 15_000, idleMs: 10_000 });
    const { origin, proxy, client } = sending;
    for (let count = 2; count <= 6; count++) {
      await proxy.clock.advance(8_000);
      client.write(piece);
      await eventually(() => origin.text().split("hello").length === count + 1);
    }
    client.write("0\r\n\r\n");
    await eventually(() => origin.text().endsWith("0\r\n\r\n"));
    await proxy.clock.advance(14_000);
    expect(client.text).toBe("");
    await proxy.clock.advance(1_100);
    expect((await client.response()).status).toBe(504);
  });

  test("and stops is answered 408 after the idle time", async () => {
    await using sending = await start({ requestMs: 15_000, idleMs: 10_000 });
    await sending.proxy.clock.advance(10_100);
    const { status, head } = await sending.client.response();
    expect([status, /x-atoll-reason: (\S+)/.exec(head)?.[1]]).toEqual([408, "request_silent"]);
    expect(sending.proxy.logLines[0]).toContain(" 408 SI ");
  });
});

test("an upgraded connection has the policy's idle limit, and no other", async () => {
  await using origin = await rawOrigin((socket) => {
    let switched = false;
    socket.on("data", (chunk: Buffer) => {
      if (switched) socket.write(chunk);
      else socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
      switched = true;
    });
  });
  await using proxy = await TestProxy.open([localAt(origin.port)], { policy: timeouts({ requestMs: 1_000, idleMs: 200_000 }) });
  using client = await RawClient.connect(proxy.server.port);
  client.write(requestFor("GET", "/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  await client.until(() => client.text.endsWith("\r\n\r\n"));
  for (const word of ["one", "two", "three"]) {
    await proxy.clock.advance(190_000);
    client.write(word);
    await client.until(() => client.text.endsWith(word));
  }
  await proxy.clock.advance(201_000);
  await eventually(() => client.closed && proxy.telemetry.active === 0);
  expect(proxy.logLines[0]).toContain(" 101 SI ");
  await eventually(() => origin.sockets[0]?.destroyed === true || origin.sockets[0]?.readableEnded === true);
});

describe("one try", () => {
  const ordered = { locality: { mode: "ordered" as const, order: ["region-of-quiet" as never] } };

  test("of a request that may be tried again ends after its time, and the last one has the rest", async () => {
    await using quiet = await silentOrigin();
    await using origin = await httpOrigin((request, response) => void response.end(String(request.headers["x-atoll-timeout-ms"])));
    await using proxy = await TestProxy.open([remoteAt("quiet", quiet.port), remoteAt("far", origin.port)], { policy: { ...ordered, ...timeouts({ tryMs: 1_000 }) } });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await eventually(() => quiet.text() !== "");
    expect(quiet.text()).toContain("x-atoll-timeout-ms: 15000\r\n");
    await proxy.clock.advance(1_020);
    expect(await client.response()).toMatchObject({ status: 200, body: expect.stringMatching(/^1(4000|39[89]\d)$/) });
    client.write(requestFor("POST", "/", "", "once"));
    await eventually(() => quiet.text().includes("once"));
    await proxy.clock.advance(14_000);
    expect(client.text).toBe("");
    await proxy.clock.advance(1_100);
    expect((await client.response()).status).toBe(504);
  });

  test("leaves a silent application by what is usual for its route, and its next one only by the request's own time", async () => {
    await using first = await httpOrigin((request, response) => {
      if (request.url === "/") response.end("quick");
    });
    await using second = await silentOrigin();
    const here = { locality: { mode: "ordered" as const, order: ["region-of-first" as never] } };
    await using proxy = await TestProxy.open([remoteAt("first", first.port), remoteAt("second", second.port)], { policy: here });
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 100; count++) {
      client.write(requestFor("GET", "/"));
      await client.response();
    }
    await proxy.clock.advance(300);
    client.write(requestFor("GET", "/silent"));
    await eventually(() => proxy.telemetry.active === 1);
    await proxy.clock.advance(300);
    await eventually(() => second.text() !== "");
    await proxy.clock.advance(5_000);
    const { slowness } = proxy.health.evidenceOf({ host: "catalog.web.svc.shop.example" } as never, "second" as never);
    expect([slowness.samples, client.text]).toEqual([0, ""]);
    await proxy.clock.advance(10_000);
    expect((await client.response()).status).toBe(504);
  });
});

describe("what a request says of its time", () => {
  test.each([
    ["grpc-timeout: 500m\r\n", 500],
    ["x-envoy-upstream-rq-timeout-ms: 700\r\n", 700],
    ["grpc-timeout: 2S\r\nx-envoy-upstream-rq-timeout-ms: 700\r\n", 700],
    ["x-envoy-upstream-rq-timeout-ms: 99999999\r\n", 15_000],
    ["grpc-timeout: never\r\nx-envoy-upstream-rq-timeout-ms: 0\r\n", 15_000],
    ["x-atoll-timeout-ms: 5\r\n", 15_000],
  ])("only shortens it: %j", async (fields, expectedMs) => {
    await using origin = await silentOrigin();
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/", fields));
    await eventually(() => origin.text() !== "");
    expect(origin.text().match(/x-atoll-timeout-ms: .*/g)).toEqual([`x-atoll-timeout-ms: ${expectedMs}`]);
    expect(origin.text()).not.toContain("x-envoy");
    await proxy.clock.advance(expectedMs - 20);
    expect(client.text).toBe("");
    await proxy.clock.advance(60);
    expect((await client.response()).status).toBe(504);
    // A time that the caller chose says nothing of the place.
    const { slowness } = proxy.health.evidenceOf({ host: "catalog.web.svc.shop.example" } as never, "here" as never);
    expect(slowness.samples).toBe(expectedMs < 15_000 ? 0 : 1);
  });
});

test.each([
  ["1000000000000000000", timeoutMsMax],
  ["9".repeat(400), timeoutMsMax],
  ["3600001", timeoutMsMax],
  ["soon", timeoutMsMax],
  ["2500", 2_500],
])("what a sidecar says is left, %j, is bounded by the longest that a policy allows", (text, expectedMs) => {
  const clock = new VirtualClock();
  const x = new Exchange({} as ClientSide);
  x.route = { policy: inboundTrafficPolicy } as Route;
  x.hopLimitMs = hopTimeoutMs(text);
  expect(new DeadlineStage(new TimingWheel(clock), clock).request(x)).toBe(Continue);
  expect([x.limitMs, x.deadlineAtMs]).toEqual([expectedMs, expectedMs]);
});

test("a request whose stage lets it wait is answered when its time is over, and its body is held", async () => {
  const clock = new VirtualClock();
  const wheel = new TimingWheel(clock);
  const waiting: Exchange[] = [];
  let ended = 0;
  const route: Route = {
    name: "app",
    chooser: { choose: () => undefined, report: () => undefined, inFlight: 0, chooseWithRoom: () => undefined, hasOthers: true, hasReachable: true },
    policy: defaultTrafficPolicy,
    budget: new RetryBudget(0),
    allowsCloseDelimited: true,
    retries: false,
  };
  const stages: Stage[] = [
    { name: "route", request: (x) => ((x.route = route), 0), response() {}, end() {} },
    new DeadlineStage(wheel, clock),
    { name: "queue", request: (x) => (waiting.push(x), Wait), response() {}, end: () => void ended++ },
    new ForwardStage({ clock, wheel, limits: defaultHttpLimits }),
  ];
  const http = new HttpServer({ stages, clock, wheel });
  const listener = createServer({ allowHalfOpen: true }, (socket) => http.accept(socket));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;

  using left = await RawClient.connect(port);
  left.write(requestFor("POST", "/", "", "body"));
  await eventually(() => waiting[0]?.requestComplete === true);
  expect(waiting[0]?.requestBody).toBe("body");
  await clock.advance(15_100);
  const { status, head } = await left.response();
  expect([status, /x-atoll-reason: (\S+)/.exec(head)?.[1], ended]).toEqual([504, "request_timeout", 1]);

  // One that goes on finds its body, whatever came before it went on.
  using kept = await RawClient.connect(port);
  kept.write(requestFor("POST", "/", "", "body"));
  await eventually(() => waiting[1]?.requestComplete === true);
  const [, second] = waiting;
  if (second !== undefined) second.client.resume(second);
  expect((await kept.response()).status).toBe(503);
  await http.drain(AbortSignal.abort());
  listener.close();
});

test("a connection that comes after a request's time is given back unused", () => {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, schedule: () => ({ [Symbol.dispose]() {} }) };
  // A clock whose timers never come stands for a process that sleeps; this one has only not looked yet.
  const wheel = new TimingWheel(clock, new LocalStall(new VirtualClock()));
  const users: ConnectionUser[] = [];
  const outcomes: Outcome[] = [];
  const pool = { target: { sni: "p80.catalog" }, acquire: (user: ConnectionUser) => users.push(user), forget: () => undefined };
  const candidate = { pool } as unknown as Candidate;
  const route: Route = {
    name: "catalog",
    chooser: { choose: () => candidate, report: (_candidate, outcome) => void outcomes.push(outcome), inFlight: 0, chooseWithRoom: () => undefined, hasOthers: true, hasReachable: true },
    policy: defaultTrafficPolicy,
    budget: new RetryBudget(0),
    allowsCloseDelimited: false,
    retries: true,
  };
  const replies: string[] = [];
  const x = new Exchange({ reply: (exchange) => void replies.push(`${exchange.status} ${exchange.reason}`) } as ClientSide);
  x.active = true;
  x.route = route;
  new DeadlineStage(wheel, clock).request(x);
  new ForwardStage({ clock, wheel, limits: defaultHttpLimits }).request(x);
  nowMs = 15_000;
  let released = 0;
  users[0]?.onConnection({ release: () => void released++ } as Upstream);
  expect([replies, released, outcomes]).toEqual([["504 request_timeout"], 1, ["timeout"]]);
});

test.each([
  ["as long as a caller's policy says", 70_000, 70_000],
  ["no longer than a policy could say", 0xffff_fffe, timeoutMsMax],
  ["as long as a policy could say where the caller's sidecar says nothing", Number.POSITIVE_INFINITY, timeoutMsMax],
])("silence over the hop may last %s", (_what, toldMs, idleMs) => {
  const clock = new VirtualClock();
  const x = new Exchange({} as ClientSide);
  x.route = { policy: inboundTrafficPolicy } as Route;
  x.hopIdleMs = toldMs;
  new DeadlineStage(new TimingWheel(clock), clock).request(x);
  expect(x.idleMs).toBe(idleMs);
});
