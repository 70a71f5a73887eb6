import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { SessionReport } from "#federation/wire/workload-messages.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { probeApp } from "./app-probe.ts";
import { connectionTo } from "./plane-connection-fixture.ts";
import { TestPlane } from "./plane-fixture.ts";
import { createSessionStats, runRegistrySession } from "./registry-session.ts";

const shop = createTestTrustDomain("shop.example");
const svid = shop.svid("/ns/web/sa/catalog");
const report: SessionReport = { instanceId: "c1", ports: [], address: "127.0.0.1", inboundPort: 1, zone: "", weight: 1, ready: false, draining: false };
const parts = { clock: systemClock, random: systemRandom, logger: silentLogger };

async function settle(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("runRegistrySession", () => {
  let plane: TestPlane;
  beforeEach(async () => {
    plane = new TestPlane("shop-eu", shop);
    await plane.open();
  });
  afterEach(() => plane[Symbol.asyncDispose]());

  it("reports each change, comes back to a restarted plane, and ends when its goodbye is acknowledged", async () => {
    const client = connectionTo({ addresses: [`127.0.0.1:${plane.discoveryPort}`], joinAddresses: [], identity: `spiffe://demo.atoll/atoll/plane/cluster/shop-eu` as never, bundle: plane.federation.bundle }, svid);
    const value = new WatchedValue(report);
    const stats = createSessionStats();
    let asked = 0;
    // What a report says of load is that of the moment in which it is sent.
    const latest = (known: SessionReport): SessionReport => ({ ...known, ports: [{ namespace: "web", service: "catalog", port: 80, admits: 1, asked: ++asked }] });
    const ended = runRegistrySession({ plane: client, report: value, latest, stats, ...parts }, new AbortController().signal);
    await settle(() => stats.attached);
    value.set({ ...report, ready: true });
    await settle(() => plane.reports.at(-1)?.ready === true);
    expect(plane.reports.map(({ ports }) => ports[0]?.asked)).toEqual(plane.reports.map((_, index) => index + 1));

    const { discoveryPort, federation } = plane;
    await plane[Symbol.asyncDispose]();
    await settle(() => !stats.attached);
    plane = new TestPlane("shop-eu", shop, federation);
    await plane.open(discoveryPort);
    await settle(() => stats.attached);
    expect(plane.reports[0]).toMatchObject({ instanceId: "c1", ready: true });

    value.set({ ...report, draining: true });
    await ended;
    expect(plane.reports.at(-1)).toMatchObject({ draining: true });
    client[Symbol.dispose]();
  });

  it("tells the plane how far its clock is from the plane's, by what that answers", async () => {
    plane.clockBehindMs = 600_000;
    const client = connectionTo({ addresses: [`127.0.0.1:${plane.discoveryPort}`], joinAddresses: [], identity: `spiffe://demo.atoll/atoll/plane/cluster/shop-eu` as never, bundle: plane.federation.bundle }, svid);
    const value = new WatchedValue(report);
    const stats = createSessionStats();
    const ended = runRegistrySession({ plane: client, report: value, stats, ...parts }, new AbortController().signal);
    await settle(() => stats.planeClock.aheadMs !== undefined);
    value.set({ ...report, draining: true });
    await ended;
    expect(plane.reports[0]?.clockAheadSeconds ?? 0).toBe(0);
    // A busy host may let an answer wait: half of that is how wrong this may be.
    expect(plane.reports.at(-1)?.clockAheadSeconds).toBeGreaterThan(570);
    expect(plane.reports.at(-1)?.clockAheadSeconds).toBeLessThan(630);
    client[Symbol.dispose]();
  });

  it("does not speak to a plane of another identity", async () => {
    const client = connectionTo({ addresses: [`127.0.0.1:${plane.discoveryPort}`], joinAddresses: [], identity: `spiffe://demo.atoll/atoll/plane/cluster/shop-us` as never, bundle: plane.federation.bundle }, svid);
    const stop = new AbortController();
    const warnings: unknown[] = [];
    const logger = { ...silentLogger, warn: (_message: string, fields?: unknown) => void warnings.push(fields) };
    const ended = runRegistrySession({ plane: client, report: new WatchedValue(report), stats: createSessionStats(), ...parts, logger }, stop.signal);
    await settle(() => warnings.length > 0);
    expect(plane.reports).toEqual([]);
    stop.abort();
    await ended;
    client[Symbol.dispose]();
  });
});

describe("probeApp", () => {
  let server: Server;
  let status = 200;
  let port = 0;
  let asked = 0;
  beforeEach(async () => {
    asked = 0;
    status = 200;
    server = createServer((_request, response) => {
      asked++;
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it("is ready at the first good answer, unready after two bad ones, and ends with its signal", async () => {
    const clock = new VirtualClock();
    const stop = new AbortController();
    const ready = new WatchedValue(false);
    const probing = probeApp({ address: "127.0.0.1", ports: [port], path: "/healthz", intervalMs: 1_000, clock, random: { next: () => 0.5, bytes: () => new Uint8Array() } }, ready, stop.signal);
    await settle(() => ready.current);
    status = 503;
    await clock.advance(1_000);
    await settle(() => asked === 2);
    expect(ready.current).toBe(true);
    for (; ready.current; ) {
      await clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(asked).toBe(3);
    status = 204;
    while (!ready.current) {
      await clock.advance(250);
      await new Promise((resolve) => setImmediate(resolve));
    }
    stop.abort();
    await probing;
  });

  it("asks for nothing but a connection when no path is given, on every port", async () => {
    const ready = new WatchedValue(false);
    const stop = new AbortController();
    const options = { address: "127.0.0.1", intervalMs: 100, clock: systemClock, random: systemRandom };
    const probing = probeApp({ ...options, ports: [port] }, ready, stop.signal);
    await settle(() => ready.current);
    expect(asked).toBe(0);
    stop.abort();
    await probing;
  });
});
