import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import type { NameAnswer } from "#federation/runtime/dns/name-state.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { swallow } from "#federation/runtime/swallowing-port-fixture.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { createDiscoveryStats, runDiscovery, type DiscoveryStats } from "./discovery-client.ts";
import { PlaneConnection } from "./plane-connection.ts";
import { TestPlane } from "./plane-fixture.ts";
import type { Plane } from "./plane-link.ts";
import { createSessionStats, runRegistrySession } from "./registry-session.ts";
import { emptyHeldState, SnapshotBuilder } from "./snapshot-builder.ts";

const shop = createTestTrustDomain("shop.example");
const svid = shop.svid("/ns/web/sa/catalog");
const parts = { clock: systemClock, random: systemRandom, logger: silentLogger };
const times = { lookMs: 50, silentMs: 100, dialMs: 100, quietMs: 200 };
/** Of this host as well. */
const elsewhere = "127.0.0.2";

describe("a proxy's connection to its plane", () => {
  let plane: TestPlane;
  let address: string;
  let stop: AbortController;
  let stats: DiscoveryStats;
  let running: Promise<unknown>;
  let connection: PlaneConnection;
  const planeAt = (host: string): Plane => ({ addresses: [`${host}:${plane.discoveryPort}`], joinAddresses: [], identity: "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as never, bundle: plane.federation.bundle });
  const lookup = async (): Promise<NameAnswer> => ({ v4: { kind: "found", addresses: [address], ttlMs: 1_000 }, v6: { kind: "none" } });
  const connectTo = (dialled: WatchedValue<Plane | undefined>): void => {
    connection = new PlaneConnection({ plane: dialled, svid: () => svid, dialing: { clock: systemClock, lookup }, random: systemRandom, logger: silentLogger, times });
  };
  const runDiscoveryOver = (): void => {
    const subscriptions = [{ typeUrl: resourceTypeUrls.bundle, names: "all" as const }];
    running = runDiscovery({ plane: connection, node: { id: "catalog-0", cluster: "", region: "", zone: "" }, process: "a life", subscriptions, builder: new SnapshotBuilder(emptyHeldState, systemClock), stats, onLevel: () => undefined, ...parts }, stop.signal);
  };

  beforeEach(async () => {
    plane = new TestPlane("shop-eu", shop);
    await plane.open();
    stop = new AbortController();
    stats = createDiscoveryStats();
  });
  afterEach(async () => {
    stop.abort();
    connection[Symbol.dispose]();
    await running;
    await plane[Symbol.asyncDispose]();
  });

  // Without it both would wait for a connection that the kernel gives up after two minutes.
  it("is another once the plane can be reached, where packets to it were dropped, for discovery and for the registry's session", async () => {
    await using _swallowed = await swallow(elsewhere, plane.discoveryPort);
    address = elsewhere;
    connectTo(new WatchedValue<Plane | undefined>(planeAt("plane.shop.example")));
    const first = connection.client();
    runDiscoveryOver();
    const session = createSessionStats();
    const report = new WatchedValue({ instanceId: "c1", ports: [], address: "127.0.0.1", inboundPort: 1, zone: "", weight: 1, ready: true, draining: false });
    const reporting = runRegistrySession({ plane: connection, report, stats: session, ...parts }, stop.signal);
    running = Promise.all([running, reporting]);
    // Until it has looked, and nobody has answered.
    await new Promise((resolve) => systemClock.schedule(times.quietMs + 6 * times.lookMs, () => resolve(undefined)));
    expect([stats.connected, session.attached, connection.client() === first]).toEqual([false, false, true]);
    address = "127.0.0.1";
    await expect.poll(() => [stats.connected, session.attached], { timeout: 20_000 }).toEqual([true, true]);
    expect(connection.client()).not.toBe(first);
  }, 30_000);

  it("stays the same to a plane that refused for a time, which its own pace of trying again leads back to", async () => {
    connectTo(new WatchedValue<Plane | undefined>(planeAt("127.0.0.1")));
    const first = connection.client();
    runDiscoveryOver();
    await expect.poll(() => stats.connected, { timeout: 20_000 }).toBe(true);
    await plane.close();
    await expect.poll(() => stats.connected, { timeout: 20_000 }).toBe(false);
    await new Promise((resolve) => systemClock.schedule(10 * times.lookMs, () => resolve(undefined)));
    await plane.reopen();
    await expect.poll(() => stats.connected, { timeout: 20_000 }).toBe(true);
    expect(connection.client()).toBe(first);
  }, 30_000);

  it("is to another plane from the next stream on that is begun after the proxy has joined that", async () => {
    const dialled = new WatchedValue<Plane | undefined>(undefined);
    connectTo(dialled);
    expect(() => connection.client()).toThrow(expect.objectContaining({ code: "ATOLL_PEER_UNAVAILABLE" }));
    dialled.set({ ...planeAt("127.0.0.1"), addresses: ["127.0.0.1:1"] });
    runDiscoveryOver();
    await expect.poll(() => stats.streams, { timeout: 20_000 }).toBeGreaterThan(1);
    dialled.set(planeAt("127.0.0.1"));
    await expect.poll(() => stats.connected, { timeout: 20_000 }).toBe(true);
  }, 30_000);
});
