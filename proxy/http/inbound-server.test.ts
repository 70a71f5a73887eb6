import type { ServerResponse } from "node:http";
import { connect as connectTls } from "node:tls";
import type { TLSSocket } from "node:tls";
import { createServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import type { ClusterId, RegionId, SpiffeId } from "#federation/model/names.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { appRoute } from "../inbound-apps.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { AppChooser } from "../upstream/app-chooser.ts";
import { Admission } from "../admission/admission.ts";
import { unknownLoad } from "../admission/load-report.ts";
import { PoolSet } from "../upstream/pool-set.ts";
import { plainConnector } from "../upstream/connector.ts";
import { forwardedClientCert, InboundServer } from "./inbound-server.ts";
import { closedPort, eventually, httpOrigin, rawOrigin } from "./proxy-fixture.ts";
import type { TestOrigin } from "./proxy-fixture.ts";
import type { RefusingServer } from "../tls/inbound-listener.ts";
import { TelemetryStage } from "./telemetry-stage.ts";
import { TimingWheel } from "./timing-wheel.ts";

const caller = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
const sni = "p80.catalog.web.svc.shop.example";

/** An inbound side in front of `app`, with real TLS to a client; its listener's checks are tested with the listener. */
async function setUp(app: TestOrigin, isAllowed: () => boolean, admission?: Admission) {
  const clock = new VirtualClock();
  const random = createSeededRandom(1);
  const wheel = new TimingWheel(clock);
  const pools = new PoolSet({ connector: plainConnector, clock, random, wheel });
  const pool = pools.claim({ address: "127.0.0.1", port: app.port, sni: "", identities: [] });
  const route = appRoute("catalog.web.svc.shop.example", new AppChooser(pool, "here" as ClusterId, "eu" as RegionId), admission);
  const inbound = new InboundServer({
    clock,
    random,
    wheel,
    telemetry: new TelemetryStage(clock),
    findRoute: (name) => (name === sni ? route : undefined),
    isAllowed,
    ownIdentity: () => "spiffe://shop.example/ns/web/sa/catalog" as SpiffeId,
    instance: "catalog-1",
    reportOf: () => unknownLoad,
  });
  const svid = createTestTrustDomain("shop.example").svid("/ns/web/sa/catalog");
  const served: (RefusingServer | undefined)[] = [];
  const listener = createServer({ cert: svid.certificateChainPem, key: svid.privateKeyPem, allowHalfOpen: true }, (socket) => {
    served.push(inbound.serve(socket, { callerId: caller, certificate: Buffer.from("leaf"), sni }));
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const clients: TLSSocket[] = [];
  return {
    pool,
    clock,
    started: () => pool.load.inFlight,
    revokeAll: () => {
      for (const connection of served) connection?.revoke();
    },
    drain: () => inbound.drain(new AbortController().signal),
    async fetch(text: string, onOpen?: (socket: TLSSocket) => void): Promise<string> {
      const socket = connectTls({ host: "127.0.0.1", port: (listener.address() as AddressInfo).port, rejectUnauthorized: false });
      clients.push(socket);
      onOpen?.(socket);
      socket.on("error", () => undefined);
      socket.write(text, "latin1");
      let received = "";
      for await (const chunk of socket) received += (chunk as Buffer).toString("latin1");
      return received;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await inbound.drain(AbortSignal.abort());
      pool.purge();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}

const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\nHost: catalog.web\r\nConnection: close\r\n${fields}\r\n`;

describe("the inbound side", () => {
  test("tells the app who calls, from the handshake only", async () => {
    await using app = await httpOrigin((request, response) => void response.end(JSON.stringify(request.headers)));
    await using inbound = await setUp(app, () => true);
    const answer = await inbound.fetch(get("/", "X-Forwarded-Client-Cert: URI=spiffe://shop.example/ns/web/sa/admin\r\n"));
    const headers = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as Record<string, string>;
    expect(headers["x-forwarded-client-cert"]).toBe(forwardedClientCert("spiffe://shop.example/ns/web/sa/catalog", { callerId: caller, certificate: Buffer.from("leaf") }));
    expect(headers["x-forwarded-client-cert"]).toMatch(/^By=spiffe:\/\/shop\.example\/ns\/web\/sa\/catalog;Hash=[0-9a-f]{64};URI=spiffe:\/\/shop\.example\/ns\/web\/sa\/storefront$/);
  });

  test("refuses a caller that has lost its right, on a connection that stood already", async () => {
    let requests = 0;
    await using app = await httpOrigin((_request, response) => {
      requests++;
      response.end("served");
    });
    let answers = 0;
    await using inbound = await setUp(app, () => answers++ === 0);
    const text = await inbound.fetch(`GET /1 HTTP/1.1\r\nHost: a\r\n\r\n${get("/2")}`);
    expect(text).toMatch(/^HTTP\/1\.1 200 .*served.*HTTP\/1\.1 403 Forbidden.*x-atoll-reason: caller_not_allowed/s);
    expect(requests).toBe(1);
  });

  test("gives a response that its app frames by closing a length", async () => {
    await using app = await rawOrigin((socket) => socket.on("data", () => socket.end("HTTP/1.0 200 OK\r\n\r\nold style")));
    await using inbound = await setUp(app, () => true);
    expect(await inbound.fetch(get("/"))).toMatch(/^HTTP\/1\.1 200 OK\r\ntransfer-encoding: chunked\r\n.*\r\n\r\n9\r\nold style\r\n0\r\n\r\n$/s);
  });

  test("lets nothing through that only sidecars may say", async () => {
    await using app = await httpOrigin((_request, response) => {
      response.writeHead(503, { "x-atoll-reason": "draining", "x-atoll-attempt": "3", "x-atoll-timeout-ms": "0", "x-atoll-anything": "1", "x-own": "2" });
      response.end();
    });
    await using inbound = await setUp(app, () => true);
    const text = await inbound.fetch(get("/"));
    expect(text).toContain("x-own: 2");
    expect(text).not.toContain("x-atoll");
  });

  test("says that its app is not reachable, which has seen nothing then", async () => {
    const app = { port: await closedPort(), sockets: [], [Symbol.asyncDispose]: async () => undefined };
    await using inbound = await setUp(app, () => true);
    expect(await inbound.fetch(get("/"))).toMatch(/^HTTP\/1\.1 503 .*x-atoll-reason: app_unreachable/s);
  });

  test("sends a connection that comes while it drains elsewhere, in words", async () => {
    let finish: () => void = () => undefined;
    await using app = await httpOrigin((_request, response) => {
      finish = () => void response.end("finished");
    });
    await using inbound = await setUp(app, () => true);
    const before = inbound.fetch(get("/"));
    await eventually(() => (app.sockets[0]?.bytesRead ?? 0) > 0);
    const drained = inbound.drain();
    expect(await inbound.fetch(get("/late"))).toMatch(/^HTTP\/1\.1 503 .*x-atoll-reason: draining/s);
    finish();
    expect(await before).toMatch(/^HTTP\/1\.1 200 .*finished$/s);
    await drained;
  });

  test("tells a caller that loses its right under a request, and cuts off what has begun", async () => {
    await using app = await rawOrigin((socket) =>
      socket.on("data", (chunk: Buffer) => {
        if (chunk.toString("latin1").includes("/events")) socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
      }),
    );
    await using inbound = await setUp(app, () => true);
    const silent = inbound.fetch(get("/silent"));
    const events = inbound.fetch(get("/events")).catch(() => "cut off");
    await eventually(() => app.sockets.length === 2 && app.sockets.every((socket) => socket.bytesRead > 0) && inbound.started() === 2);
    for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    inbound.revokeAll();
    expect(await silent).toMatch(/^HTTP\/1\.1 403 .*x-atoll-reason: caller_not_allowed/s);
    expect(await events).not.toMatch(/\r\n0\r\n\r\n$/);
    await eventually(() => inbound.pool.connections === 0);
  });

  test("leaves retries to its caller, but replaces a connection that its app had closed", async () => {
    let connections = 0;
    await using app = await rawOrigin((socket) => {
      const isFirst = connections++ === 0;
      let served = 0;
      socket.on("data", () => {
        if (isFirst && served++ > 0) socket.resetAndDestroy();
        else socket.write(isFirst ? "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1" : "HTTP/1.1 503 No\r\nContent-Length: 1\r\n\r\n2");
      });
    });
    await using inbound = await setUp(app, () => true);
    const text = await inbound.fetch(`GET /1 HTTP/1.1\r\nHost: a\r\n\r\n${get("/2")}`);
    expect(text).toMatch(/^HTTP\/1\.1 200 .*HTTP\/1\.1 503 No/s);
    expect(connections).toBe(2);
  });
});

describe("the time of a request on the inbound side", () => {
  /** An app that takes a request and says nothing. */
  const silentApp = () => rawOrigin((socket) => socket.on("data", () => undefined));
  const seen = (app: TestOrigin): boolean => (app.sockets[0]?.bytesRead ?? 0) > 0;

  test("is what the caller's sidecar says is left, and its end reaches the app's connection", async () => {
    await using app = await silentApp();
    await using inbound = await setUp(app, () => true);
    const answer = inbound.fetch(get("/", "x-atoll-timeout-ms: 20000\r\n"));
    await eventually(() => seen(app));
    await inbound.clock.advance(19_000);
    expect(app.sockets[0]?.destroyed).toBe(false);
    await inbound.clock.advance(1_100);
    expect(await answer).toMatch(/^HTTP\/1\.1 504 .*x-atoll-reason: request_timeout/s);
    await eventually(() => app.sockets[0]?.destroyed === true || app.sockets[0]?.readableEnded === true);
  });

  test("that is over already begins no work", async () => {
    let requests = 0;
    await using app = await httpOrigin((_request, response) => void response.end(String(++requests)));
    await using inbound = await setUp(app, () => true);
    expect(await inbound.fetch(get("/", "x-atoll-timeout-ms: 0\r\n"))).toMatch(/^HTTP\/1\.1 504 .*x-atoll-reason: deadline_exceeded/s);
    expect(requests).toBe(0);
  });

  test.each(["x-atoll-timeout-ms: 1000000000000000000\r\n", "x-atoll-timeout-ms: soon\r\n", "x-atoll-timeout-ms: -1\r\n", ""])("is not cut by a limit of this hop after %j", async (field) => {
    await using app = await silentApp();
    await using inbound = await setUp(app, () => true);
    const answer = inbound.fetch(get("/", field));
    await eventually(() => seen(app));
    await inbound.clock.advance(20_000);
    app.sockets[0]?.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    expect(await answer).toMatch(/^HTTP\/1\.1 200 .*late$/s);
  });

  test("ends with the caller that leaves, at the app's connection too", async () => {
    await using app = await silentApp();
    await using inbound = await setUp(app, () => true);
    let caller: TLSSocket | undefined;
    const answer = inbound.fetch(get("/"), (socket) => (caller = socket)).catch(() => "gone");
    await eventually(() => seen(app));
    caller?.destroy();
    await answer;
    await eventually(() => inbound.pool.load.inFlight === 0 && inbound.pool.connections === 0);
  });

  test("lets a request wait with its body until the application has room, and refuses what waits too long", async () => {
    const held: ServerResponse[] = [];
    const bodies: string[] = [];
    await using app = await httpOrigin((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        bodies.push(body);
        held.push(response);
      });
    });
    const admission = new Admission({ initial: 1, min: 1, max: 1 });
    await using inbound = await setUp(app, () => true, admission);
    const first = inbound.fetch(get("/1"));
    await eventually(() => held.length === 1);
    const second = inbound.fetch("POST /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    await eventually(() => admission.queue.length === 1);
    held[0]?.end("one");
    expect(await first).toMatch(/^HTTP\/1\.1 200 .*one$/s);
    await eventually(() => held.length === 2);
    expect(bodies).toEqual(["", "hello"]);
    const third = inbound.fetch(get("/3", "x-atoll-timeout-ms: 400\r\n"));
    await eventually(() => admission.queue.length === 1);
    await inbound.clock.advance(200);
    expect(await third).toMatch(/^HTTP\/1\.1 503 .*x-atoll-reason: queue_timeout/s);
    held[1]?.end("two");
    expect(await second).toMatch(/^HTTP\/1\.1 200 .*two$/s);
    expect([admission.inUse, admission.streams, admission.queue.length]).toEqual([0, 0, 0]);
  });
});
