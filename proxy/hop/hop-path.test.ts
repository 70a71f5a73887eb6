import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { eventually, httpOrigin, localAt, RawClient, remoteAt, requestFor, TestProxy } from "../http/proxy-fixture.ts";
import type { ClusterId } from "#federation/model/names.ts";
import { retryFloor } from "#federation/routing/retry-budget.ts";
import { Continue } from "../http/exchange.ts";
import type { Stage } from "../http/exchange.ts";
import { closedPort } from "../http/proxy-fixture.ts";
import { defaultHopLimits } from "./frames.ts";
import { PlayedConnector, TestCallee } from "./hop-fixture.ts";

/** An application that answers what it was asked, with the body it got. */
function echo(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    response.setHeader("x-method", request.method ?? "");
    response.setHeader("x-fields", JSON.stringify(request.headers));
    response.end(request.url === "/length" ? String(body.length) : body.length === 0 ? `path ${request.url}` : body);
  });
}

describe("requests over the hop", () => {
  test("share one connection, each with its own answer", async () => {
    await using app = await httpOrigin(echo);
    await using callee = await TestCallee.open(app.port);
    const connector = new PlayedConnector();
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector });
    const clients = await Promise.all(Array.from({ length: 40 }, () => RawClient.connect(proxy.server.port)));
    for (const [index, client] of clients.entries()) client.write(requestFor("GET", `/${index}`));
    const bodies = await Promise.all(clients.map((client) => client.response()));
    expect(bodies.map(({ status, body }) => `${status} ${body}`)).toEqual(clients.map((_, index) => `200 path /${index}`));
    expect(connector.opened).toBe(1);
    expect(callee.inbound.hop.sessions).toBe(1);
    for (const client of clients) client[Symbol.dispose]();
    await eventually(() => callee.inbound.hop.streams === 0);
  });

  test.each([
    ["none", "GET", "", ""],
    ["a length", "POST", "hello", ""],
    ["chunks", "POST", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"],
  ])("carry a body with %s, and the caller's name", async (_what, method, body, fields) => {
    await using app = await httpOrigin(echo);
    await using callee = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    client.write(fields === "" ? requestFor(method, "/x", "", body) : `${method} /x HTTP/1.1\r\nHost: catalog.web\r\n${fields}\r\n${body}`);
    const answer = await client.response();
    expect(answer.status).toBe(200);
    expect(answer.body).toBe(body === "" ? "path /x" : "hello");
    expect(answer.head).toContain("URI=spiffe://shop.example/ns/web/sa/storefront");
    expect(answer.head).not.toMatch(/transfer-encoding/i);
  });

  test("answer HEAD without a body and with its length", async () => {
    await using app = await httpOrigin(echo);
    await using callee = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("HEAD", "/x").replace("Content-Length: 0\r\n", ""));
    await client.until(() => client.text.includes("\r\n\r\n"));
    expect(client.text).toMatch(/^HTTP\/1.1 200 OK/);
    client.text = "";
    client.write(requestFor("GET", "/y"));
    expect((await client.response()).body).toBe("path /y");
  });

  test("carry ten megabytes each way through windows of a few kilobytes", async () => {
    const whole = Buffer.alloc(10_000_000, "0123456789abcdef");
    await using app = await httpOrigin((request, response) => {
      if (request.method === "GET") response.end(whole);
      else echo(request, response);
    });
    const hopLimits = { ...defaultHopLimits };
    await using callee = await TestCallee.open(app.port, { hopLimits });
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
    using up = await RawClient.connect(proxy.server.port);
    using down = await RawClient.connect(proxy.server.port);
    up.write(`POST /length HTTP/1.1\r\nHost: catalog.web\r\nContent-Length: ${whole.length}\r\n\r\n`);
    up.socket.write(whole);
    down.write(requestFor("GET", "/whole"));
    const [sent, received] = await Promise.all([up.response(), down.response()]);
    expect(sent.body).toBe(String(whole.length));
    expect(received.body === whole.toString("latin1")).toBe(true);
  });

  test("whose reader has stopped hold up no other", async () => {
    const whole = Buffer.alloc(5_000_000, "x");
    await using app = await httpOrigin((request, response) => void response.end(request.url === "/large" ? whole : "ok"));
    await using callee = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
    using stuck = await RawClient.connect(proxy.server.port);
    stuck.socket.pause();
    stuck.write(requestFor("GET", "/large"));
    await eventually(() => callee.inbound.hop.streams === 1);
    using client = await RawClient.connect(proxy.server.port);
    for (let round = 0; round < 20; round++) {
      client.write(requestFor("GET", "/small"));
      expect((await client.response()).body).toBe("ok");
    }
    stuck.socket.resume();
    expect((await stuck.response()).body).toHaveLength(whole.length);
  });

  test("that nobody waits for any more are cancelled at the application, and the connection goes on", async () => {
    let closed = 0;
    await using app = await httpOrigin((request, response) => {
      if (request.url === "/slow") response.on("close", () => closed++);
      else response.end("ok");
    });
    await using callee = await TestCallee.open(app.port);
    const connector = new PlayedConnector();
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector });
    using leaving = await RawClient.connect(proxy.server.port);
    leaving.write(requestFor("GET", "/slow"));
    await eventually(() => app.sockets.length === 1);
    leaving.socket.destroy();
    await eventually(() => closed === 1 && callee.inbound.hop.streams === 0);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("ok");
    expect(connector.opened).toBe(1);
  });

  test("arrive with their deadline as what is left of it", async () => {
    await using app = await httpOrigin(() => undefined);
    await using callee = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector(), policy: { timeouts: { requestMs: 600, connectMs: 500, idleMs: 1_000 } } });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await eventually(() => callee.inbound.hop.streams === 1 && app.sockets.length === 1);
    await callee.clock.advance(700);
    const answer = await client.response();
    expect([answer.status, /x-atoll-reason: (\w+)/.exec(answer.head)?.[1]]).toEqual([504, "request_timeout"]);
    expect(proxy.logLines.at(-1)).toContain(" 504 UT ");
  });

  test("that are not allowed get their answer at once, and no place is blamed", async () => {
    await using app = await httpOrigin(echo);
    await using callee = await TestCallee.open(app.port, { isAllowed: () => false });
    await using other = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(callee.port), remoteAt("there", other.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    for (let round = 0; round < 10; round++) {
      client.write(requestFor("GET", "/"));
      expect((await client.response()).status).toBe(403);
    }
    expect(proxy.logLines.every((line) => line.includes(" 403 UAEX "))).toBe(true);
    expect(other.telemetry.active + callee.inbound.hop.streams).toBe(0);
  });

  test("whose application is not there are repeated elsewhere, also a POST", async () => {
    await using app = await httpOrigin(echo);
    await using broken = await TestCallee.open(await closedPort());
    await using sound = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(broken.port), remoteAt("there", sound.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("POST", "/", "", "hello"));
    expect(await client.response()).toMatchObject({ status: 200, body: "hello" });
  });

  test("that came after a drain began are not taken, and are repeated elsewhere, also a POST; those before it finish", async () => {
    const held: ServerResponse[] = [];
    await using app = await httpOrigin((request, response) => void (request.url === "/held" ? held.push(response) : echo(request, response)));
    await using draining = await TestCallee.open(app.port);
    await using sound = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(draining.port), remoteAt("there", sound.port)], { connector: new PlayedConnector() });
    using before = await RawClient.connect(proxy.server.port);
    before.write(requestFor("GET", "/held"));
    await eventually(() => held.length === 1);
    // Its connection stands still towards us, so that what we send crosses its farewell.
    const cut = new AbortController();
    const drained = draining.inbound.drain(cut.signal);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("POST", "/", "", "hello"));
    expect(await client.response()).toMatchObject({ status: 200, body: "hello" });
    held[0]?.end("finished");
    expect((await before.response()).body).toBe("finished");
    await drained;
    cut.abort();
  });

  test("that admission refuses go where there is room, within the budget, and are refused at once where there is none", async () => {
    await using app = await httpOrigin(echo);
    await using full = await TestCallee.open(app.port, { isFull: true });
    let headroom = 5;
    await using roomy = await TestCallee.open(app.port, { report: () => ({ queueDelayMs: 0, utilizationRatio: 0.5, headroom }) });
    await using proxy = await TestProxy.open([localAt(full.port), remoteAt("there", roomy.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    const ask = async (): Promise<number> => {
      client.write(requestFor("POST", "/", "", "hello"));
      return (await client.response()).status;
    };
    expect(await ask()).toBe(503);
    // Keeps a connection to the next place, which tells its load on it.
    for (const route of proxy.routes.routes()) route.chooser.warmNext();
    await eventually(() => proxy.pools.pools().some((pool) => pool.report?.headroom === 5));
    expect(await ask()).toBe(200);
    headroom = 0;
    expect(await ask()).toBe(200);
    expect(await ask()).toBe(503);
    expect(proxy.logLines.at(-1)).toContain(" 503 UO ");
    for (const { cluster } of [{ cluster: "here" }, { cluster: "there" }]) {
      expect(proxy.health.evidenceOf({ host: "catalog.web.svc.shop.example" } as never, cluster as never).requests.consecutiveFailures).toBe(0);
    }
  });

  test("that the next place refuses after the nearest has died go to the third, whose room is known before it is needed", async () => {
    await using app = await httpOrigin(echo);
    const dying = await TestCallee.open(app.port);
    await using next = await TestCallee.open(app.port, { isFull: true });
    await using third = await TestCallee.open(app.port, { report: () => ({ queueDelayMs: 0, utilizationRatio: 0.2, headroom: 5 }) });
    await using proxy = await TestProxy.open([localAt(dying.port), remoteAt("next", next.port), remoteAt("third", third.port)], { connector: new PlayedConnector() });
    proxy.health.setViewpoint({ ...proxy.health.viewpoint, roundTripMs: new Map([["next" as ClusterId, 80], ["third" as ClusterId, 180]]) });
    using client = await RawClient.connect(proxy.server.port);
    const ask = async (): Promise<number> => {
      client.write(requestFor("GET", "/"));
      return (await client.response()).status;
    };
    // What is repeated stays within a share of what is answered.
    for (let count = 0; count < 30; count++) expect(await ask()).toBe(200);
    for (const route of proxy.routes.routes()) route.chooser.warmNext();
    await eventually(() => proxy.pools.pools().filter((pool) => pool.report !== undefined).length === 3);
    await dying[Symbol.asyncDispose]();
    for (let count = 0; count < 5; count++) expect(await ask()).toBe(200);
  });

  test("of which most are refused are refused here, at no cost to the far side", async () => {
    await using app = await httpOrigin(echo);
    await using full = await TestCallee.open(app.port, { isFull: true });
    await using proxy = await TestProxy.open([localAt(full.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 300; count++) {
      client.write(requestFor("GET", "/"));
      expect((await client.response()).status).toBe(503);
    }
    const [series] = full.telemetry.series();
    expect(series?.requests).toBeLessThan(100);
    expect(series?.requests).toBeGreaterThan(9);
    const [route] = proxy.routes.routes();
    expect(proxy.server.throttled).toEqual(Float64Array.of(0, 300 - (series?.requests ?? 0), 0));
    // Whoever asks why hears of all that was asked for, also of what was refused here.
    expect(route?.chooser.loadOf("here" as ClusterId)).toEqual({ report: { queueDelayMs: 0, utilizationRatio: 0, headroom: 0 }, overload: { admits: 0, asked: 60 } });
    expect(route?.chooser.loadOf("elsewhere" as ClusterId)).toBeUndefined();
  });

  test("are refused here, too, and repeated no more than the budget allows, where each place lies that it has all the room there is", async () => {
    await using app = await httpOrigin(echo);
    const report = () => ({ queueDelayMs: 0, utilizationRatio: 0, headroom: Number.POSITIVE_INFINITY });
    await using here = await TestCallee.open(app.port, { isFull: true, report });
    await using there = await TestCallee.open(app.port, { isFull: true, report });
    await using proxy = await TestProxy.open([localAt(here.port), remoteAt("there", there.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(503);
    for (const route of proxy.routes.routes()) route.chooser.warmNext();
    await eventually(() => proxy.pools.pools().filter((pool) => pool.report?.headroom === 65_535).length === 2);
    for (let count = 0; count < 300; count++) {
      client.write(requestFor(count % 2 === 0 ? "GET" : "POST", "/"));
      expect((await client.response()).status).toBe(503);
    }
    const [asked, repeated] = [here, there].map((callee) => [...callee.telemetry.series()].reduce((sum, { requests }) => sum + requests, 0));
    expect(asked).toBeGreaterThan(9);
    expect(asked).toBeLessThan(100);
    expect(repeated).toBeGreaterThan(0);
    expect(repeated).toBeLessThanOrEqual(retryFloor);
  });

  test("come back to an endpoint that lies that it has no room, or an endless queue, and to none more often than it would be", async () => {
    await using app = await httpOrigin(echo);
    await using lying = await TestCallee.open(app.port, { report: () => ({ queueDelayMs: Number.POSITIVE_INFINITY, utilizationRatio: 1, headroom: 0 }) });
    await using honest = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(lying.port, honest.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    const askedOf = ({ telemetry }: TestCallee): number => [...telemetry.series()].reduce((sum, { requests }) => sum + requests, 0);
    const askFor = async (seconds: number): Promise<void> => {
      for (let count = 0; count < 5 * seconds; count++) {
        await proxy.clock.advance(200);
        client.write(requestFor("GET", "/"));
        expect((await client.response()).status).toBe(200);
      }
    };
    await askFor(20);
    const before = askedOf(lying);
    expect(before).toBeGreaterThan(0);
    await askFor(40);
    expect(askedOf(lying)).toBeGreaterThan(before);
    expect(askedOf(lying)).toBeLessThan(askedOf(honest) / 4);
  });

  test("whose application has fallen silent go elsewhere after what the route usually takes", async () => {
    let isSilent = false;
    let unanswered = 0;
    await using sound = await httpOrigin(echo);
    await using stopping = await httpOrigin((request, response) => (isSilent ? void unanswered++ : echo(request, response)));
    await using first = await TestCallee.open(sound.port);
    const movedOn: boolean[] = [];
    const listening: Stage = { name: "listening", request: () => Continue, response() {}, end: (x) => void (x.flag === "DC" && movedOn.push(x.callerMovedOn)) };
    await using second = await TestCallee.open(stopping.port, { guard: listening });
    await using proxy = await TestProxy.open([localAt(first.port, second.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 60; count++) {
      client.write(requestFor("GET", "/"));
      expect((await client.response()).status).toBe(200);
    }
    isSilent = true;
    for (let count = 0; count < 5; count++) {
      const before = unanswered;
      client.write(requestFor("GET", "/"));
      const answer = client.response();
      const seen = { answer: false };
      void answer.then(() => (seen.answer = true));
      await eventually(() => seen.answer || unanswered > before);
      // Far less than the 15 s of the policy.
      await proxy.clock.advance(300);
      expect((await answer).status).toBe(200);
    }
    expect(unanswered).toBeGreaterThan(0);
    await eventually(() => second.inbound.hop.streams === 0);
    // Its sidecar hears that they did not run out of patience …
    expect(movedOn).toEqual(Array.from({ length: unanswered }, () => true));
    // … as one does who leaves himself.
    const impatient = await Promise.all(Array.from({ length: 6 }, () => RawClient.connect(proxy.server.port)));
    for (const one of impatient) one.write(requestFor("GET", "/"));
    await eventually(() => second.inbound.hop.streams > 0);
    for (const one of impatient) one[Symbol.dispose]();
    await eventually(() => movedOn.includes(false));
  });

  test("whose callee's sidecar has fallen silent go elsewhere within 350 ms of its last byte", async () => {
    await using app = await httpOrigin(echo);
    await using sound = await TestCallee.open(app.port);
    await using stopped = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(sound.port, stopped.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 6; count++) {
      client.write(requestFor("GET", "/"));
      expect((await client.response()).status).toBe(200);
    }
    await eventually(() => stopped.sockets.length === 1);
    stopped.sockets[0]?.pause();
    let longestMs = 0;
    for (let count = 0; count < 6; count++) {
      client.write(requestFor("GET", "/"));
      const answer = client.response();
      const seen = { answer: false };
      void answer.then(() => (seen.answer = true));
      let waitedMs = 0;
      // Turns let sockets speak; only what nobody answers by then waits for the clock.
      const speak = async (): Promise<void> => {
        for (let turn = 0; turn < 200 && !seen.answer; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
      };
      await speak();
      for (; !seen.answer && waitedMs < 2_000; waitedMs += 10) {
        await proxy.clock.advance(10);
        await speak();
      }
      expect((await answer).status).toBe(200);
      longestMs = Math.max(longestMs, waitedMs);
    }
    expect(longestMs).toBeGreaterThan(0);
    expect(longestMs).toBeLessThanOrEqual(400);
    stopped.sockets[0]?.resume();
  });

  test("to an older sidecar go over HTTP/1.1", async () => {
    await using origin = await httpOrigin(echo);
    const connector = new PlayedConnector("http/1.1");
    await using proxy = await TestProxy.open([localAt(origin.port)], { connector });
    using client = await RawClient.connect(proxy.server.port);
    for (const path of ["/a", "/b"]) {
      client.write(requestFor("GET", path));
      expect((await client.response()).body).toBe(`path ${path}`);
    }
    expect(connector.opened).toBe(2);
  });

  test("spread evenly over the instances behind a gateway", async () => {
    await using app = await httpOrigin((_request, response) => void response.end("ok"));
    const callees = await Promise.all(Array.from({ length: 4 }, (_, index) => TestCallee.open(app.port, { instance: `i${index}` })));
    const ports = callees.map(({ port }) => port);
    let next = 0;
    const connector = new PlayedConnector();
    const through = connector.connect;
    // The gateway: each connection goes to the next instance.
    connector.connect = (target, handler) => through({ ...target, port: ports[next++ % ports.length] ?? 0 }, handler);
    const place = { ...remoteAt("there", callees[0]?.port ?? 0), endpointsReady: 4, endpointsTotal: 4 };
    await using proxy = await TestProxy.open([place], { connector });
    const clients = await Promise.all(Array.from({ length: 24 }, () => RawClient.connect(proxy.server.port)));
    const roundOfAll = async (): Promise<void> => {
      for (const client of clients) client.write(requestFor("GET", "/"));
      await Promise.all(clients.map((client) => client.response()));
    };
    const served = (): readonly number[] => callees.map(({ telemetry }) => [...telemetry.series()].reduce((sum, { requests }) => sum + requests, 0));
    // Sessions to the others come while the first serves.
    for (let round = 0; round < 200 && served().includes(0); round++) await roundOfAll();
    const before = served();
    expect(before).not.toContain(0);
    for (let round = 0; round < 50; round++) await roundOfAll();
    const loads = served().map((count, at) => count - (before[at] ?? 0));
    expect(Math.max(...loads) / (loads.reduce((sum, load) => sum + load, 0) / loads.length)).toBeLessThan(1.1);
    for (const client of clients) client[Symbol.dispose]();
    for (const callee of callees) await callee[Symbol.asyncDispose]();
  });
});
