import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { systemClock, type Clock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { presenceOf, processOf, type Presence } from "#federation/wire/discovery-presence.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { streamNamesMax } from "#federation/wire/limits.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { createDiscoveryStats, runDiscovery } from "./discovery-client.ts";
import type { PlaneConnection } from "./plane-connection.ts";
import { connectionTo } from "./plane-connection-fixture.ts";
import { TestPlane } from "./plane-fixture.ts";
import { emptyHeldState, SnapshotBuilder } from "./snapshot-builder.ts";

const shop = createTestTrustDomain("shop.example");
const svid = shop.svid("/ns/web/sa/catalog");

async function settle(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("runDiscovery", () => {
  let plane: TestPlane;
  let client: PlaneConnection;
  let stop: AbortController;
  const stats = createDiscoveryStats();
  const said = (): readonly Presence[] => plane.requests.flatMap((request) => presenceOf(request) ?? []);
  let levels: number;
  let builder: SnapshotBuilder;
  const run = (clock: Clock): Promise<void> =>
    runDiscovery(
      {
        plane: client,
        node: { id: "catalog-0", cluster: "", region: "eu-west", zone: "" },
        process: "first life",
        subscriptions: [{ typeUrl: resourceTypeUrls.bundle, names: "all" }],
        builder,
        stats,
        onLevel: () => void (levels = builder.snapshot.current.bundles.size),
        clock,
        random: systemRandom,
        logger: silentLogger,
      },
      stop.signal,
    );

  beforeEach(async () => {
    plane = new TestPlane("shop-eu", shop);
    await plane.open();
    client = connectionTo({ addresses: [`127.0.0.1:${plane.discoveryPort}`], joinAddresses: [], identity: "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as never, bundle: plane.federation.bundle }, svid);
    stop = new AbortController();
    levels = 0;
    builder = new SnapshotBuilder(emptyHeldState, systemClock);
  });
  afterEach(async () => {
    client[Symbol.dispose]();
    await plane[Symbol.asyncDispose]();
  });

  it("says on each stream that it will take its leave, after who it is, and takes it in the end", async () => {
    const ended = run(systemClock);
    await settle(() => stats.connected && said().length === 1);
    expect(plane.requests[0]?.node?.id).toBe("catalog-0");
    await plane.close();
    await settle(() => !stats.connected);
    await plane.reopen();
    await settle(() => stats.connected && said().length === 2);
    expect(said()).toEqual(["stays", "stays"]);
    // With the first request already, as what it is told next may hang on it.
    expect(plane.requests.filter(({ node }) => node !== undefined).map(processOf)).toEqual(["first life", "first life"]);
    stop.abort();
    await ended;
    expect(said()).toEqual(["stays", "stays", "leaves"]);
  });

  it("waits for a plane that does not let it go no longer than it may", async () => {
    plane.keepsStreams = true;
    const clock = new VirtualClock();
    let hasEnded = false;
    const ended = run(clock).then(() => (hasEnded = true));
    await settle(() => stats.connected && said().length === 1);
    stop.abort();
    await settle(() => said().at(-1) === "leaves");
    await clock.advance(499);
    expect(hasEnded).toBe(false);
    await clock.advance(1);
    await ended;
  });

  it("is level when it has been told the last part, and not before", async () => {
    plane.partMax = 1;
    plane.world = { ...plane.world, bundles: [shop, createTestTrustDomain("pay.example"), createTestTrustDomain("ads.example")].map(({ bundle }) => bundle) };
    const ended = run(systemClock);
    await settle(() => levels > 0);
    expect(levels).toBe(3);
    stop.abort();
    await ended;
  });

  it("comes back with more than it can name, and holds what there is then", async () => {
    const named = Array.from({ length: streamNamesMax }, (_, index) => `d${index}.example` as TrustDomainName);
    const [kept, gone] = ["kept.example", "gone.example"] as [TrustDomainName, TrustDomainName];
    const held = [...named, kept, gone];
    builder = new SnapshotBuilder(
      {
        snapshot: { ...emptyHeldState.snapshot, bundles: new Map(held.map((trustDomain) => [trustDomain, { ...shop.bundle, trustDomain }])) },
        versions: { ...emptyHeldState.versions, [resourceTypeUrls.bundle]: new Map(held.map((trustDomain) => [trustDomain, "before"])) },
      },
      systemClock,
    );
    plane.world = { ...plane.world, bundles: [shop.bundle, createTestTrustDomain(kept, 2).bundle] };
    const ended = run(systemClock);
    await settle(() => levels > 0);
    expect([...builder.snapshot.current.bundles.keys()]).toEqual(expect.arrayContaining([kept, shop.bundle.trustDomain]));
    expect(levels).toBe(2);
    stop.abort();
    await ended;
  });

  it("has nobody to take its leave of while the plane is away", async () => {
    await plane.close();
    const ended = run(new VirtualClock());
    await settle(() => stats.streams > 0);
    stop.abort();
    await ended;
    expect(said()).toEqual([]);
  });
});
