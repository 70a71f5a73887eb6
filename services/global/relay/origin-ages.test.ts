import { expect, it } from "vitest";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import { MemoryReplicaStore } from "#federation/replication/shell/memory-replica-store.ts";
import { linkSubjects, runPublisher } from "#federation/replication/shell/run-publisher.ts";
import { heldAgeMs, runReceiver, type ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { ClusterLinks } from "./cluster-links.ts";
import { emptyLinks } from "./cluster-links-fixture.ts";

const cluster = (name: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name, createdAt: "2026-01-01T00:00:00Z" },
  spec: { region: "eu-west" as RegionId, trustDomain: `${name}.example` as TrustDomainName, exportNamespaces: ["web"], gateways: [] },
});

it("a cluster that says nothing new is as fresh as its last heartbeat at the global plane, and one that is silent grows old by everybody's clock", async () => {
  const clock = new VirtualClock();
  const origins = new TestOrigins();
  const hub = new MemoryHub(clock);
  const common = { clock, random: createSeededRandom(1), logger: silentLogger, verifyChain: origins.verifyChain };
  await using store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  const catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  const stop = new AbortController();
  const running: Promise<unknown>[] = [];
  const run = (task: (signal: AbortSignal) => Promise<void>): AbortController => {
    const own = new AbortController();
    running.push(task(AbortSignal.any([stop.signal, own.signal])));
    return own;
  };
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      await clock.advance(1_000);
      // What waits for the store goes on.
      await catalog.positions.list(stop.signal);
    }
  };
  const startGlobal = (term: number): AbortController => {
    const clusters = new WatchedValue<ReadonlyMap<string, Cluster>>(new Map(["shop-eu", "shop-us"].map((name) => [name, cluster(name)])));
    const links = new ClusterLinks({
      ...emptyLinks(clusters),
      ...common,
      term,
      bus: hub.open("global"),
      catalog,
      signer: () => origins.signer("global"),
    });
    return run((signal) => links.run(signal));
  };
  const up = { names: { federation: "demo.atoll", publisher: "shop-us", audience: "global" }, publisherTrustDomain: "shop-us.example", subjects: linkSubjects("up", "shop-us") };
  const down = { names: { federation: "demo.atoll", publisher: "global", audience: "shop-eu" }, publisherTrustDomain: "demo.atoll", subjects: linkSubjects("down", "shop-eu") };
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const age = (): number | undefined => {
    const status = statuses.current.get("global");
    return status === undefined ? undefined : heldAgeMs(status, "shop-us", clock.monotonicMs());
  };

  const first = startGlobal(1);
  const idle = run((signal) => runPublisher({ ...common, ...up, bus: hub.open("shop-us"), epoch: 1, term: 1, objects: new WatchedValue({ revision: 1, objects: new Map() }), signer: () => origins.signer("shop-us"), lags: new WatchedValue(new Map()), standings: new Map() }, signal));
  run((signal) => runReceiver({ ...common, ...down, bus: hub.open("shop-eu"), origins: "any", store: new MemoryReplicaStore(), statuses }, signal));
  await pass(600);
  expect(age()).toBeLessThan(3_500);

  idle.abort();
  await pass(90);
  expect(age()).toBeGreaterThan(88_000);
  expect(age()).toBeLessThan(95_000);

  // Another global plane has never heard it.
  first.abort();
  await pass(1);
  startGlobal(2);
  await pass(10);
  expect(age()).toBeUndefined();

  stop.abort();
  await Promise.all(running);
});
