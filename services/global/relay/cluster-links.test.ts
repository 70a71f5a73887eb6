import { expect, it } from "vitest";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { Catalog, objectId } from "#federation/catalog/catalog.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { ClusterLinks } from "./cluster-links.ts";
import { emptyLinks } from "./cluster-links-fixture.ts";

const cluster = (name: string, createdAt: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name, createdAt },
  spec: { region: "eu-west" as RegionId, trustDomain: `${name}.example` as TrustDomainName, exportNamespaces: ["web"], gateways: [] },
});

it("forgets what a cluster has said when it is deleted or made anew, and nothing of the others", async () => {
  const { signal } = new AbortController();
  const clock = new VirtualClock();
  const origins = new TestOrigins();
  await using store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  const catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  const clusters = new WatchedValue<ReadonlyMap<string, Cluster>>(new Map());
  const hub = new MemoryHub(clock);
  const links = new ClusterLinks({
    ...emptyLinks(clusters),
    term: 1,
    bus: hub.open("global"),
    catalog,
    signer: () => origins.signer("global"),
    verifyChain: origins.verifyChain,
    clock,
    random: createSeededRandom(1),
    logger: silentLogger,
  });
  const say = async (origin: string): Promise<void> => {
    const { payload, signed } = origins.object(origin, "web/a", 5);
    await catalog.objects.put(objectId(payload), recordOf({ payload, signed }, 1), {}, signal);
    await catalog.positions.put(origin, { publisher: origin, epoch: 1, term: 1, stream: "s", seq: 1, floorEpoch: 1, floorRevision: 5, appliedAtMs: 1 }, {}, signal);
  };
  const kept = async (): Promise<readonly string[]> => [...(await catalog.positions.list(signal)).items, ...(await catalog.objects.list(signal)).items].map(({ id }) => id).toSorted();
  const stop = new AbortController();
  const running = links.run(stop.signal);
  const both = ["shop-eu", "shop-eu/Note/web/a", "shop-us", "shop-us/Note/web/a"];
  for (const origin of ["shop-eu", "shop-us"]) await say(origin);
  const linked = (origin: string, floor: number) => until(links.statuses, (statuses) => statuses.get(origin)?.cursor.floor.revision === floor, signal);

  clusters.set(new Map([["shop-eu", cluster("shop-eu", "2026-01-01T00:00:00Z")], ["shop-us", cluster("shop-us", "2026-01-01T00:00:00Z")]]));
  for (const origin of ["shop-eu", "shop-us"]) await linked(origin, 5);
  expect(await kept()).toEqual(both);
  clusters.set(new Map([["shop-eu", cluster("shop-eu", "2026-01-02T00:00:00Z")], ["shop-us", cluster("shop-us", "2026-01-01T00:00:00Z")]]));
  await linked("shop-eu", 0);
  expect(await kept()).toEqual(both.slice(2));
  clusters.set(new Map([["shop-eu", cluster("shop-eu", "2026-01-02T00:00:00Z")]]));
  await until(links.statuses, (statuses) => !statuses.has("shop-us"), signal);
  clusters.set(new Map([["shop-eu", cluster("shop-eu", "2026-01-02T00:00:00Z")], ["shop-us", cluster("shop-us", "2026-01-03T00:00:00Z")]]));
  await linked("shop-us", 0);
  expect(await kept()).toEqual([]);
  stop.abort();
  await running;
});
