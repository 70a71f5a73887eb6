import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { MemoryReplicaStore } from "#federation/replication/shell/memory-replica-store.ts";
import { linkSubjects } from "#federation/replication/shell/run-publisher.ts";
import { runReceiver } from "#federation/replication/shell/run-receiver.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ClusterLinks } from "#services/global/relay/cluster-links.ts";
import { FederationState } from "#services/global/relay/federation-state.ts";
import { GlobalObjects } from "#services/global/relay/global-objects.ts";
import { openBenchCluster, type BenchCluster } from "./bench-cluster.ts";
import { BenchOrigins } from "./bench-origins.ts";
import { benchCluster, benchFederation, clusterResource, exportResource, instanceRecord, serviceResource } from "./bench-resources.ts";
import { countedStore, type StoreCounts } from "./counted-store.ts";

/** How large a mesh is. */
export interface MeshSize {
  /** Services of the exporting cluster, each with one instance and exported. */
  readonly services: number;
  /** Clusters, the exporting one and the watched one among them; the others only receive. */
  readonly clusters: number;
  /** Connected to each of the first two clusters. */
  readonly proxies: number;
}

/** A whole federation in one process, over stores and a bus in memory: what a change costs then is what the planes do for it. */
export interface Mesh extends AsyncDisposable {
  readonly exporter: BenchCluster;
  readonly watched: BenchCluster;
  /** Of the stores of the exporting cluster, the global plane, the watched cluster. */
  readonly stores: readonly StoreCounts[];
  /** Gives the service `index` another port, and resolves when the watched cluster routes by it. */
  change(index: number, port: number): Promise<void>;
  /** Resolves when the watched cluster has all services, and its proxies know of them. */
  readonly whole: Promise<void>;
}

/** Writes that share a transaction while the mesh is filled. */
const fillTogether = 100;

export async function openMesh({ services, clusters, proxies }: MeshSize): Promise<Mesh> {
  const stop = new AbortController();
  const { signal } = stop;
  const hub = new MemoryHub(systemClock);
  const origins = new BenchOrigins();
  const raw: SqliteStore[] = [];
  for (let at = 0; at < 3; at++) raw.push(await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger }));
  const [first, central, second] = raw.map((store) => countedStore(store));
  if (first === undefined || central === undefined || second === undefined) throw new Error("three stores were opened");
  const exporter = await openBenchCluster({ index: 0, store: first.store, bus: hub.open(benchCluster(0)), origins, proxyCount: proxies }, signal);
  const watched = await openBenchCluster({ index: 1, store: second.store, bus: hub.open(benchCluster(1)), origins, proxyCount: proxies }, signal);
  const catalog = new Catalog({ store: central.store, clock: systemClock, onFault: ({ error }) => { throw error; } });
  for (let index = 0; index < clusters; index++) {
    await catalog.resources("Cluster").apply(clusterResource(index), {}, signal);
    origins.signer(benchCluster(index));
  }
  await fill(exporter.catalog, services, signal);
  const running = runTasks([...exporter.tasks, ...watched.tasks, ...globalTasks({ hub, catalog, origins }), ...receivers({ hub, origins, clusters })], signal);
  return {
    exporter,
    watched,
    stores: [first.counts, central.counts, second.counts],
    whole: Promise.all(watched.proxies.map(({ known }) => until(known, (count) => count === services, signal))).then(() => undefined),
    async change(index, port) {
      const [proxy] = watched.proxies;
      if (proxy === undefined) throw new Error("a mesh without proxies has nobody to see a change");
      const before = proxy.told.current;
      await exporter.catalog.resources("Service").apply(serviceResource(index, port), {}, signal);
      await until(proxy.told, (told) => told > before, signal);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running.catch(() => undefined);
      for (const store of raw) await store[Symbol.asyncDispose]();
    },
  };
}

async function fill(catalog: Catalog, services: number, signal: AbortSignal): Promise<void> {
  for (let start = 0; start < services; start += fillTogether) {
    const indexes = Array.from({ length: Math.min(fillTogether, services - start) }, (_, at) => start + at);
    await Promise.all(
      indexes.flatMap((index) => [
        catalog.resources("Service").apply(serviceResource(index, 80), {}, signal),
        catalog.resources("ServiceExport").apply(exportResource(index), {}, signal),
        catalog.endpoints.put(instanceRecord(index).instanceId, instanceRecord(index), {}, signal),
      ]),
    );
  }
}

interface Ground {
  readonly hub: MemoryHub;
  readonly origins: BenchOrigins;
}

function globalTasks({ hub, catalog, origins }: Ground & { readonly catalog: Catalog }): readonly Task[] {
  const signer = () => origins.signer(globalOrigin);
  const own = new GlobalObjects({ federation: benchFederation, epoch: 1, signer });
  const state = new FederationState({ catalog, own, clock: systemClock, logger: silentLogger, follow: (task) => task });
  const links = new ClusterLinks({
    federation: benchFederation,
    epoch: 1,
    term: 1,
    bus: hub.open(globalOrigin),
    catalog,
    clusters: state.clusters,
    objects: state.publication,
    offerContext: () => ({ clusters: state.clusters.current, relationships: state.relationships, inForce: state.inForce }),
    objectsOf: (origin) => state.objectsOf(origin),
    signer,
    verifyChain: origins.verifyChain,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  return [
    (inner) => state.run(inner),
    async (inner) => {
      await until(state.ready, (isReady) => isReady, inner);
      await links.run(inner);
    },
  ];
}

/** The clusters that only receive: their replicas live in memory, and nothing is made of them. */
function receivers({ hub, origins, clusters }: Ground & { readonly clusters: number }): readonly Task[] {
  return Array.from({ length: Math.max(0, clusters - 2) }, (_, at) => {
    const cluster = benchCluster(at + 2);
    const bus = hub.open(cluster);
    return (signal: AbortSignal) =>
      runReceiver(
        {
          bus,
          clock: systemClock,
          logger: silentLogger,
          names: { federation: benchFederation, publisher: globalOrigin, audience: cluster },
          publisherTrustDomain: benchFederation,
          subjects: linkSubjects("down", cluster),
          origins: "any",
          verifyChain: origins.verifyChain,
          store: new MemoryReplicaStore(),
          statuses: new WatchedValue(new Map()),
        },
        signal,
      );
  });
}
