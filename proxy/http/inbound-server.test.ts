import { connect as connectTls } from "node:tls";
import type { TLSSocket } from "node:tls";
import { createServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import type { ClusterId, RegionId, SpiffeId } from "#federation/model/names.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { RetryBudget } from "#federation/routing/retry-budget.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { AppChooser } from "../upstream/app-chooser.ts";
import { PoolSet } from "../upstream/connection-pool.ts";
import { plainConnector } from "../upstream/connector.ts";
import type { Route } from "./exchange.ts";
import { forwardedClientCert, InboundServer } from "./inbound-server.ts";
import { httpOrigin, rawOrigin } from "./proxy-fixture.ts";
import type { TestOrigin } from "./proxy-fixture.ts";
import { TelemetryStage } from "./telemetry-stage.ts";
import { TimingWheel } from "./timing-wheel.ts";

const caller = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
const sni = "p80.catalog.web.svc.shop.example";

/** An inbound side in front of `app`, with real TLS to a client; its listener's checks are tested with the listener. */
async function setUp(app: TestOrigin, isAllowed: () => boolean) {
  const clock = new VirtualClock();
  const random = createSeededRandom(1);
  const wheel = new TimingWheel(clock);
  const pools = new PoolSet({ connector: plainConnector, clock, random, wheel });
  const pool = pools.claim({ address: "127.0.0.1", port: app.port, sni: "", identities: [] });
  const route: Route = {
    name: "catalog.web.svc.shop.example",
    chooser: new AppChooser(pool, "here" as ClusterId, "eu" as RegionId),
    policy: defaultTrafficPolicy,
    budget: new RetryBudget(0),
    allowsCloseDelimited: true,
    retries: false,
  };
  const inbound = new InboundServer({
    clock,
    random,
    wheel,
    telemetry: new TelemetryStage(clock),
    findRoute: (name) => (name === sni ? route : undefined),
    isAllowed,
    ownIdentity: () => "spiffe://shop.example/ns/web/sa/catalog" as SpiffeId,
  });
  const svid = createTestTrustDomain("shop.example").svid("/ns/web/sa/catalog");
  const listener = createServer({ cert: svid.certificateChainPem, key: svid.privateKeyPem, allowHalfOpen: true }, (socket) =>
    inbound.serve(socket, { callerId: caller, certificate: Buffer.from("leaf"), sni }),
  );
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const clients: TLSSocket[] = [];
  return {
    pool,
    async fetch(text: string): Promise<string> {
      const socket = connectTls({ host: "127.0.0.1", port: (listener.address() as AddressInfo).port, rejectUnauthorized: false });
      clients.push(socket);
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
