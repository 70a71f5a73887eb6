import type { Bus } from "#federation/bus/bus.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { CatalogReplicaStore } from "#federation/replication/shell/catalog-replica-store.ts";
import { linkSubjects, runPublisher, type StandingOf } from "#federation/replication/shell/run-publisher.ts";
import { runReceiver, type ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import type { ReceiverLag } from "#federation/replication/core/publisher.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import type { Task } from "#federation/runtime/lifecycle.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { ClusterSelf } from "#services/cluster/cluster-state.ts";
import type { ClusterStateSource, OwnTrust } from "#services/cluster/cluster-state-source.ts";
import { ClusterViews } from "#services/cluster/cluster-views.ts";
import { DiscoveryService } from "#services/cluster/discovery/discovery-service.ts";
import { ExportContents } from "#services/cluster/exports/export-contents.ts";
import { OwnObjects } from "#services/cluster/exports/own-objects.ts";
import { admitsReceived } from "#services/cluster/trust/received-rules.ts";
import type { BenchOrigins } from "./bench-origins.ts";
import { benchCluster, benchFederation, benchRegion, benchTrustDomain } from "./bench-resources.ts";
import { BenchProxy } from "./bench-proxy.ts";

/** A cluster of the mesh: all of a plane that a change passes through, without its ports. */
export interface BenchCluster {
  readonly catalog: Catalog;
  readonly source: ClusterStateSource;
  readonly proxies: readonly BenchProxy[];
  /** How many objects were signed. */
  readonly signed: () => number;
  readonly tasks: readonly Task[];
}

export async function openBenchCluster(
  { index, store, bus, origins, proxyCount }: { readonly index: number; readonly store: Store; readonly bus: Bus; readonly origins: BenchOrigins; readonly proxyCount: number },
  signal: AbortSignal,
): Promise<BenchCluster> {
  const cluster = benchCluster(index);
  const self: ClusterSelf = { federation: benchFederation, cluster, region: benchRegion, trustDomain: benchTrustDomain };
  const clock = systemClock;
  const logger = silentLogger;
  const catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  let signed = 0;
  const signer = () => {
    signed++;
    return origins.signer(cluster);
  };
  const own = await OwnObjects.open({ self, epoch: 1, catalog, signer, clock, mayWrite: true }, signal);
  const views = new ClusterViews({
    catalog,
    self,
    epoch: 1,
    ownTrust: new WatchedValue<OwnTrust>({ bundle: { trustDomain: benchTrustDomain, sequence: 1, refreshHintSeconds: 60, x509Authorities: [] }, authorityCertificatePem: "" }),
    withdrawn: new WatchedValue<ReadonlySet<string>>(new Set()),
    parseBundle: () => { throw new Error("no foreign trust domain is here"); },
    clock,
    logger,
  });
  const { replicated, source } = views;
  const proxies = Array.from({ length: proxyCount }, (_, at) => new BenchProxy(at));
  const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const common = { bus, clock, logger };
  const tasks: readonly Task[] = [
    ...views.following((task) => task),
    async (inner) => {
      await until(source.loaded, (isLoaded) => isLoaded, inner);
      const contents = new ExportContents();
      for await (const state of source.state.changes(inner)) if (state.clusters.has(cluster)) await own.replaceKind("ServiceExport", contents.next(state), inner);
    },
    async (inner) => {
      await until(source.loaded, (isLoaded) => isLoaded, inner);
      const discovery = await DiscoveryService.open(source.state, { logger, clock, hadProxies: false, identityMs: 3_600_000, onNack: () => undefined });
      for (const proxy of proxies) proxy.connect(discovery);
      await discovery.follow(inner);
    },
    (inner) =>
      runPublisher(
        {
          ...common,
          random: systemRandom,
          names: { federation: benchFederation, publisher: cluster, audience: globalOrigin },
          publisherTrustDomain: benchTrustDomain,
          subjects: linkSubjects("up", cluster),
          epoch: 1,
          term: 1,
          objects: own.publication,
          signer: () => origins.signer(cluster),
          lags,
          standings: new Map<string, StandingOf>(),
        },
        inner,
      ),
    (inner) =>
      runReceiver(
        {
          ...common,
          names: { federation: benchFederation, publisher: globalOrigin, audience: cluster },
          publisherTrustDomain: benchFederation,
          subjects: linkSubjects("down", cluster),
          origins: "any",
          audienceNames: [benchTrustDomain, `cluster:${cluster}`],
          admits: admitsReceived(self, () => replicated.state.current),
          verifyChain: origins.verifyChain,
          store: new CatalogReplicaStore({ catalog, publisher: globalOrigin, isFrom: (record) => record.origin !== cluster, clock }),
          statuses,
        },
        inner,
      ),
  ];
  return { catalog, source, proxies, signed: () => signed, tasks };
}
