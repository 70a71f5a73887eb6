import { join } from "node:path";
import { Server } from "@grpc/grpc-js";
import { openAdminServer } from "#federation/admin-api/server.ts";
import type { Bus } from "#federation/bus/bus.ts";
import { Catalog } from "#federation/catalog/catalog.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { openGrpcListener, peerOfCall } from "#federation/identity/grpc-listener.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { acceptTrustDomain, createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { pathOf } from "#federation/model/spiffe-id.ts";
import { CatalogReplicaStore } from "#federation/replication/shell/catalog-replica-store.ts";
import { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import { linkSubjects, runPublisher } from "#federation/replication/shell/run-publisher.ts";
import { runReceiver, type ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { ensureEpoch, keepWitness } from "#federation/replication/shell/store-epoch.ts";
import type { ReceiverLag } from "#federation/replication/core/publisher.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import { writeReadyFile } from "#federation/runtime/process.ts";
import type { Random } from "#federation/runtime/random.ts";
import { until, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Store } from "#federation/store/store.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { addGauge, type PlaneMetrics } from "#federation/telemetry/plane-metrics.ts";
import { discoveryService, identityService, joinService, registryService, signerService } from "#federation/wire/grpc-services.ts";
import { clusterOperations } from "./admin/cluster-operations.ts";
import type { ClusterSelf } from "./cluster-state.ts";
import { ClusterStateSource, type OwnTrust } from "./cluster-state-source.ts";
import type { ClusterConfig } from "./config.ts";
import type { ClusterKeySource } from "./credentials/cluster-credentials.ts";
import { signerHandlers } from "./credentials/enrolment.ts";
import type { PlaneMembership } from "./credentials/plane-membership.ts";
import type { TrustDomainSigner } from "./credentials/signer.ts";
import { workloadIssuer } from "./credentials/workload-issuer.ts";
import { DiscoveryService } from "./discovery/discovery-service.ts";
import { exportContents } from "./exports/export-contents.ts";
import { OwnObjects } from "./exports/own-objects.ts";
import { trustDomainContent } from "./exports/trust-domain-content.ts";
import { subscriberOf } from "./peer-identity.ts";
import { Registry } from "./registry/registry.ts";
import { registrySessionHandler } from "./registry/registry-service.ts";
import { defaultSessionLimits } from "./registry/session-table.ts";
import { ReplicatedView } from "./replicated/replicated-view.ts";
import { authorityPin } from "./trust/effective-relationships.ts";
import { admitsReceived } from "./trust/received-rules.ts";

export interface ClusterPlaneOptions {
  readonly config: ClusterConfig;
  readonly membership: PlaneMembership;
  readonly planeSvid: Watched<X509Svid>;
  readonly keySource: ClusterKeySource;
  /** Present at the plane that holds its trust domain's keys. */
  readonly signer: TrustDomainSigner | undefined;
  readonly store: Store;
  readonly bus: Bus;
  readonly metrics: PlaneMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Runs a cluster's plane for one term of leadership over its store, until `signal` aborts. */
export async function runClusterPlane(options: ClusterPlaneOptions, term: LeaderTerm, signal: AbortSignal): Promise<void> {
  const { config, membership, keySource, store, bus, clock, random, logger } = options;
  const { federation, cluster, region, trustDomain } = membership.facts;
  const self: ClusterSelf = { federation, cluster, region, trustDomain };
  const catalog = new Catalog({
    store,
    clock,
    fence: () => [term.fence],
    onFault: ({ key, error }) => logger.error("A stored value cannot be read and is left out.", { key, reason: describeError(error) }),
  });
  const epochOptions = { catalog, witnessFile: join(config.dataDir, "witness.json"), clock, logger };
  const epoch = await ensureEpoch(epochOptions, signal);

  const services = catalog.resources("Service").view();
  const exports = catalog.resources("ServiceExport").view();
  const replicated = new ReplicatedView(catalog.objects, logger);
  const registry = new Registry({ self, endpoints: catalog.endpoints, services: services.state, limits: defaultSessionLimits, clock, logger });
  const ownTrust = new WatchedValue<OwnTrust>(ownTrustOf(options));
  const source = new ClusterStateSource({
    self,
    services: services.state,
    exports: exports.state,
    endpoints: registry.state,
    replicated: replicated.state,
    ownTrust,
    parseBundle,
    clock,
  });
  const discovery = new DiscoveryService(source.state, { logger, nowMs: () => clock.nowMs() });
  const own = await OwnObjects.open({ self, epoch, objects: catalog.objects, signer: () => keySource.keys.current.signer, clock }, signal);
  const verifyChain = createChainVerifier({ federation, clock, authorityOf: (name) => authorityFor(name, options, replicated) });
  const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const common = { bus, clock, logger };
  const loaded: Task = async (inner) => {
    await Promise.all([
      until(services.state, (state) => state.loaded, inner),
      until(exports.state, (state) => state.loaded, inner),
      until(replicated.loaded, (isLoaded) => isLoaded, inner),
      until(registry.loaded, (isLoaded) => isLoaded, inner),
    ]);
  };

  await runTasks(
    [
      services.run,
      exports.run,
      (inner) => replicated.follow(inner),
      (inner) => registry.follow(inner),
      (inner) => registry.lookOver(inner),
      (inner) => source.follow(inner),
      (inner) => keepWitness(epochOptions, epoch, inner),
      async (inner) => {
        for await (const _ of keySource.keys.changes(inner)) ownTrust.set(ownTrustOf(options));
      },
      async (inner) => {
        await loaded(inner);
        // Until the global plane has said which namespaces this cluster may export, nothing is known that could be withdrawn.
        for await (const state of source.state.changes(inner)) if (state.clusters.has(cluster)) await own.replaceKind("ServiceExport", exportContents(state), inner);
      },
      async (inner) => {
        if (options.signer !== undefined) await own.put("TrustDomain", trustDomain, trustDomainContent(options.signer.statement(), trustDomain), inner);
      },
      (inner) =>
        runPublisher(
          {
            ...common,
            random,
            names: { federation, publisher: cluster, audience: globalOrigin },
            publisherTrustDomain: trustDomain,
            subjects: linkSubjects("up", cluster),
            epoch,
            term: term.number,
            objects: own.publication,
            signer: () => keySource.keys.current.signer,
            lags,
          },
          inner,
        ),
      (inner) =>
        runReceiver(
          {
            ...common,
            names: { federation, publisher: globalOrigin, audience: cluster },
            publisherTrustDomain: federation,
            subjects: linkSubjects("down", cluster),
            origins: "any",
            audienceNames: [trustDomain, `cluster:${cluster}`],
            admits: admitsReceived(self, () => replicated.state.current),
            verifyChain,
            store: new CatalogReplicaStore({ catalog, publisher: globalOrigin, isFrom: (record) => record.origin !== cluster, clock }),
            statuses,
          },
          inner,
        ),
      async (inner) => {
        await loaded(inner);
        await serve({ options, self, catalog, registry, source, discovery, own, verifyChain, statuses, epoch, replicated }, inner);
      },
    ],
    signal,
  );
}

interface Serving {
  readonly options: ClusterPlaneOptions;
  readonly self: ClusterSelf;
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly source: ClusterStateSource;
  readonly discovery: DiscoveryService;
  readonly own: OwnObjects;
  readonly verifyChain: ReturnType<typeof createChainVerifier>;
  readonly statuses: Watched<ReadonlyMap<string, ReceiverStatus>>;
  readonly epoch: number;
  readonly replicated: ReplicatedView;
}

/** Opens the three ports of the plane and keeps their certificates current. */
async function serve(serving: Serving, signal: AbortSignal): Promise<void> {
  const { options, self, catalog, registry, source, discovery } = serving;
  const { config, membership, planeSvid, keySource, clock, logger } = options;
  const { address } = config.listen;
  const material = (): TlsMaterial => createTlsMaterial(planeSvid.current, [keySource.keys.current.bundle]);
  const workloadMaterial = new WatchedValue<TlsMaterial>(material());
  const adminMaterial = new WatchedValue<TlsMaterial>(createTlsMaterial(planeSvid.current, [membership.federationBundle]));
  const issuing = workloadIssuer({
    self,
    keys: keySource.keys,
    catalog,
    bundles: () => [membership.federationBundle, ...source.state.current.bundles.values()],
    discoveryAddress: () => `${config.advertiseAddress}:${discoveryListener.port}`,
    svidMs: config.svidSeconds * 1_000,
    clock,
    logger,
    signal,
  });
  const identify = (call: Parameters<typeof peerOfCall>[0]) => subscriberOf(peerOfCall(call), self);
  const discoveryServer = new Server();
  discoveryServer.addService(discoveryService, { deltaAggregatedResources: discovery.handler(identify) });
  discoveryServer.addService(identityService, { renew: issuing.renew });
  discoveryServer.addService(registryService, {
    session: registrySessionHandler(registry, {
      identify: (call) => {
        const subscriber = identify(call);
        return subscriber?.kind === "workload" ? subscriber.identity : undefined;
      },
      logger,
      signal,
    }),
  });
  const joinServer = new Server();
  joinServer.addService(joinService, { issueFirst: issuing.issueFirst });
  if (options.signer !== undefined) {
    const handlers = signerHandlers({
      signer: options.signer,
      catalog,
      federation: self.federation,
      trustDomain: self.trustDomain,
      verifyChain: serving.verifyChain,
      clock,
      logger,
      signal,
    });
    joinServer.addService(signerService, handlers);
  }
  const onRefused = (reason: string): void => logger.debug("A connection was refused.", { reason });
  const [root = new Uint8Array()] = parseChainPem(membership.facts.federationRootPem);
  await using discoveryListener = await openGrpcListener(
    { server: discoveryServer, address, port: config.listen.discoveryPort, material: workloadMaterial, clients: "required", accept: acceptTrustDomain(self.trustDomain), onRefused },
    signal,
  );
  await using joinListener = await openGrpcListener(
    { server: joinServer, address, port: config.listen.joinPort, material: adminMaterial, clients: "none", accept: () => false, presentedRoot: root, onRefused },
    signal,
  );
  const adminTls = () => ({
    caPem: adminMaterial.current.anchors.join(""),
    certificateChainPem: adminMaterial.current.svid.certificateChainPem,
    privateKeyPem: adminMaterial.current.svid.privateKeyPem,
  });
  await using admin = await openAdminServer({
    address,
    port: config.listen.adminPort,
    tls: adminTls(),
    operations: clusterOperations({ ...serving, joinAddress: `${config.advertiseAddress}:${joinListener.port}` }),
    openApi: { title: "Atoll cluster control plane", version: "1.0.0" },
    authorize: ({ spiffeId }) => pathOf(spiffeId).startsWith("/atoll/admin/"),
    isReady: () => true,
    onError: (error, operationId) => logger.error("An operation failed.", { operationId, reason: describeError(error) }),
    clock,
  });
  addGauge(options.metrics.registry, "atoll_discovery_streams", "Proxies that follow this plane.", () => discovery.proxies.length);
  addGauge(options.metrics.registry, "atoll_endpoints", "Instances that the registry knows.", () => source.state.current.endpoints.length);
  writeReadyFile(config.dataDir, { discovery: discoveryListener.port, join: joinListener.port, admin: admin.port });
  logger.info("The cluster plane serves.", { discoveryPort: discoveryListener.port, joinPort: joinListener.port, adminPort: admin.port });
  await runTasks(
    [
      (inner) => discovery.follow(inner),
      async (inner) => {
        for await (const _ of keySource.keys.changes(inner)) workloadMaterial.set(material());
      },
      async (inner) => {
        for await (const svid of planeSvid.changes(inner)) {
          workloadMaterial.set(material());
          adminMaterial.set(createTlsMaterial(svid, [membership.federationBundle]));
          admin.replaceTls(adminTls());
        }
      },
    ],
    signal,
  );
}

function ownTrustOf({ keySource }: ClusterPlaneOptions): OwnTrust {
  const { bundle, authorityCertificatePem } = keySource.keys.current;
  return { bundle, authorityCertificatePem };
}

/** Whose authority is believed: the federation's and one's own by their files, others as their TrustDomain says; what they may do then follows from relationships. */
function authorityFor(trustDomain: string, { membership, keySource }: ClusterPlaneOptions, replicated: ReplicatedView): string | undefined {
  const { facts } = membership;
  if (trustDomain === facts.federation) return authorityPin(facts.federationAuthorityPem);
  if (trustDomain === facts.trustDomain) return authorityPin(keySource.keys.current.authorityCertificatePem);
  const foreign = replicated.state.current.trustDomains.get(trustDomain);
  return foreign === undefined ? undefined : authorityPin(foreign.spec.authorityCertificatePem);
}
