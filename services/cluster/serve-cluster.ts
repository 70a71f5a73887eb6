import { Server } from "@grpc/grpc-js";
import { RolloutWaits } from "#federation/admin-api/rollout-waits.ts";
import { PlaneAdmission } from "#federation/admin-api/plane-admission.ts";
import { openAdminServer, type AdminServer, type AdminTls } from "#federation/admin-api/server.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CatalogOp } from "#federation/catalog/collection.ts";
import { openGrpcListener, peerOfCall } from "#federation/identity/grpc-listener.ts";
import { acceptTrustDomain, createTlsMaterial, type TlsMaterial } from "#federation/identity/tls-options.ts";
import type { createChainVerifier } from "#federation/replication/shell/chain-verifier.ts";
import type { ReceiverLag } from "#federation/replication/core/publisher.ts";
import type { HeldWithdrawals } from "#federation/replication/shell/held-withdrawals.ts";
import type { TermStore } from "#federation/history/term-store.ts";
import type { Incarnation } from "#federation/replication/shell/incarnation.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import type { StandingOf } from "#federation/replication/shell/run-publisher.ts";
import type { ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import type { NameRow } from "#federation/runtime/dns/dialled-names.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { hostPort } from "#federation/runtime/dns/host-name.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import { passingFaults } from "#federation/runtime/retry.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { KeptWrite } from "#federation/runtime/kept-write.ts";
import { writeReadyFile, type ReadyPorts } from "#federation/runtime/process.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { discoveryService, identityService, registryService } from "#federation/wire/grpc-services.ts";
import { clusterOperations } from "./admin/cluster-operations.ts";
import type { ClusterSelf, ClusterState } from "./cluster-state.ts";
import type { ClusterStateSource } from "./cluster-state-source.ts";
import type { ClusterPlaneOptions } from "./cluster-plane-options.ts";
import type { StoredResources } from "./cluster-views.ts";
import { signerHandlers } from "./credentials/enrolment.ts";
import { jwtIssuer } from "./credentials/jwt-issuer.ts";
import { workloadIssuer } from "./credentials/workload-issuer.ts";
import { ToldPolicies } from "./discovery/canary/told-policies.ts";
import { DiscoveryService } from "./discovery/discovery-service.ts";
import { KeptProxies } from "./discovery/kept-proxies.ts";
import type { FederatedBundles } from "./federated-bundles/federated-bundles.ts";
import type { OwnObjects } from "./exports/own-objects.ts";
import type { JoinHandlers } from "./join-port.ts";
import { subscriberOf } from "./peer-identity.ts";
import type { Registry } from "./registry/registry.ts";
import { registrySessionHandler } from "./registry/registry-service.ts";
import type { ReplicatedView } from "./replicated/replicated-view.ts";

/** What the ports of a cluster plane are made of. */
export interface Serving {
  readonly self: ClusterSelf;
  readonly termStore: TermStore;
  readonly standing: StoreStanding;
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly source: ClusterStateSource;
  readonly stored: StoredResources;
  readonly federated: FederatedBundles;
  /** Whether a trust domain is of this federation. */
  readonly isOwn: (name: TrustDomainName) => boolean;
  readonly own: OwnObjects;
  readonly verifyChain: ReturnType<typeof createChainVerifier>;
  readonly statuses: Watched<ReadonlyMap<string, ReceiverStatus>>;
  readonly lags: Watched<ReadonlyMap<string, ReceiverLag>>;
  /** What the global plane has acknowledged of an object, by its name. */
  readonly standings: ReadonlyMap<string, StandingOf>;
  /** What is held back of what a publisher has withdrawn, by its name. */
  readonly withdrawals: ReadonlyMap<string, HeldWithdrawals>;
  readonly incarnation: Incarnation;
  /** The state that the published exports were made of; undefined before the first time. */
  readonly exported: Watched<ClusterState | undefined>;
  readonly epoch: number;
  readonly replicated: ReplicatedView;
  readonly names: () => readonly NameRow[];
  /** The store is not new: there may be proxies that an earlier term served. */
  readonly hadProxies: boolean;
}

/** The operator's port, of a plane whose proxies are served or not. */
interface OperatorPort {
  readonly discovery: DiscoveryService;
  readonly waits: RolloutWaits;
  readonly admission: PlaneAdmission;
  readonly isServing: () => boolean;
}

/** Opens the ports that rest on the store, answers joiners, and keeps certificates current. `source` must have loaded. */
export async function serveCluster(options: ClusterPlaneOptions, serving: Serving, signal: AbortSignal): Promise<void> {
  const { source, standing, catalog } = serving;
  const { config, planeSvid, clock, logger, metrics, joinPort, bundleEndpoint } = options;
  const keeping = { commit: async (ops: readonly CatalogOp[], inner: AbortSignal) => await catalog.commit(ops, inner), clock, logger };
  // Made of a loaded state: what it lacked would be told to proxies as removed.
  const told = new ToldPolicies({ collection: catalog.policyTellings, ...keeping });
  const keptProxies = new KeptProxies({ collection: catalog.proxies, ...keeping });
  const discovery = await DiscoveryService.open(source.state, {
    logger,
    clock,
    hadProxies: serving.hadProxies,
    identityMs: config.svidSeconds * 1_000,
    told: await told.load(signal),
    known: await keptProxies.load(signal),
    onNack: (type) => metrics.discoveryNacks.inc({ type }),
  });
  const isSound = standing.state === "sound";
  // Before any proxy hears of it: a plane that comes after this one takes nothing for told that was not. One that finds less has more tried.
  if (isSound) await keptOrPassing(told.keep(discovery.canary.current, signal), logger);
  const waits = new RolloutWaits({ clock, onRefused: () => metrics.rolloutWaitsRefused.inc() });
  const admission = new PlaneAdmission({ clock, onRefused: (refused) => metrics.adminOverloaded.inc(refused) });
  let isServing = false;
  await using proxies = isSound ? await openProxyPorts(options, serving, discovery, signal) : undefined;
  await using admin = await openOperatorPort(options, serving, { discovery, waits, admission, isServing: () => isServing && !signal.aborted });
  isServing = true;
  if (metrics.reports !== undefined) metrics.reports = { ...metrics.reports, streams: () => discovery.proxies.length, silentProxies: () => discovery.silent.length, policyTrials: () => discovery.policyTrials, rolloutWaiters: () => waits.count, admission };
  const ready = { discovery: proxies?.port ?? config.listen.discoveryPort, join: joinPort.port, admin: admin.port, ...(bundleEndpoint === undefined ? {} : { bundle: bundleEndpoint.port }) };
  await using keptReady = new KeptWrite<ReadyPorts>({ what: "ready.json", write: async (ports) => writeReadyFile(config.dataDir, ports), failures: metrics.writeFailures, clock, logger });
  await keptReady.put(ready);
  if (proxies === undefined) logger.warn("The cluster plane answers operators alone.", { joinPort: joinPort.port, adminPort: admin.port });
  else logger.info("The cluster plane serves.", { discoveryPort: proxies.port, joinPort: joinPort.port, adminPort: admin.port });
  await runTasks(
    [
      ...(proxies === undefined ? [] : [(inner: AbortSignal) => discovery.follow(inner), (inner: AbortSignal) => told.follow(discovery.canary, inner), (inner: AbortSignal) => keptProxies.follow(discovery.known, inner), proxies.run]),
      async (inner) => {
        for await (const _ of planeSvid.changes(inner)) admin.replaceTls(adminTls(options));
      },
    ],
    signal,
  );
}

/** A store that takes nothing keeps no proxy from being served: what could not be kept is tried again by whoever follows. */
async function keptOrPassing(keeping: Promise<void>, logger: Logger): Promise<void> {
  try {
    await keeping;
  } catch (error) {
    if (!isAtollError(error, ...passingFaults)) throw error;
    logger.warn("What proxies are told of policies could not be stored yet.", { reason: describeError(error) });
  }
}

/** What proxies and joiners ask; `run` keeps its certificates current. */
async function openProxyPorts(options: ClusterPlaneOptions, serving: Serving, discovery: DiscoveryService, signal: AbortSignal): Promise<AsyncDisposable & { readonly port: number; readonly run: Task }> {
  const { self, catalog, registry, source } = serving;
  const { config, membership, planeSvid, keySource, jwtKeys, clock, logger, metrics, joinPort, joinGuard: guard, attestation } = options;
  const onRefusedJoin = (reason: string): void => metrics.joinRefused.inc({ reason });
  const { address } = config.listen;
  const material = (): TlsMaterial => createTlsMaterial(planeSvid.current, [keySource.keys.current.bundle]);
  const workloadMaterial = new WatchedValue<TlsMaterial>(material());
  const issuing = workloadIssuer({
    self,
    keys: keySource.keys,
    catalog,
    attestation,
    // Of federated trust domains discovery alone tells: what it takes back must not come again with an identity.
    bundles: () => [membership.federationBundle, ...[...source.state.current.bundles.values()].filter(({ isFederated }) => isFederated !== true)],
    discoveryAddress: () => hostPort(config.advertiseAddress, discoveryListener.port),
    svidMs: config.svidSeconds * 1_000,
    clock,
    logger,
    guard,
    onRefused: onRefusedJoin,
    onIssued: (kind) => metrics.svidsIssued.inc({ kind }),
    signal,
  });
  const identify = (call: Parameters<typeof peerOfCall>[0]) => subscriberOf(peerOfCall(call), self);
  const discoveryServer = new Server();
  discoveryServer.addService(discoveryService, { deltaAggregatedResources: discovery.handler(identify) });
  const issueJwt = jwtIssuer({ self, keys: jwtKeys, clock, logger, onIssued: () => metrics.svidsIssued.inc({ kind: "jwt" }), onRefused: onRefusedJoin });
  discoveryServer.addService(identityService, { renew: issuing.renew, issueJwt });
  discoveryServer.addService(registryService, {
    session: registrySessionHandler(registry, {
      identify: (call) => identify(call)?.identity,
      onRefused: () => metrics.registrationsRefused.inc(),
      logger,
      signal,
    }),
  });
  const onRefused = (reason: string): void => logger.debug("A connection was refused.", { reason });
  const discoveryListener = await openGrpcListener(
    { server: discoveryServer, address, port: config.listen.discoveryPort, material: workloadMaterial, clients: "required", accept: acceptTrustDomain(self.trustDomain), onRefused },
    signal,
  );
  const joining = joinPort.serve({ issueFirst: issuing.issueFirst, signer: enrolling(options, serving, onRefusedJoin, signal) });
  const follow = async (changes: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of changes) workloadMaterial.set(material());
  };
  return {
    port: discoveryListener.port,
    run: async (inner) => await runTasks([(deeper) => follow(keySource.keys.changes(deeper)), (deeper) => follow(planeSvid.changes(deeper))], inner),
    async [Symbol.asyncDispose]() {
      joining[Symbol.dispose]();
      await discoveryListener[Symbol.asyncDispose]();
    },
  };
}

async function openOperatorPort(options: ClusterPlaneOptions, serving: Serving, { discovery, waits, admission, isServing }: OperatorPort): Promise<AdminServer> {
  const { config, clock, logger, metrics, joinPort } = options;
  return await openAdminServer({
    address: config.listen.address,
    port: config.listen.adminPort,
    tls: adminTls(options),
    operations: clusterOperations({ ...serving, options, discovery, waits, admission, joinAddress: hostPort(config.advertiseAddress, joinPort.port) }),
    openApi: { title: "Atoll cluster control plane", version: "1.0.0" },
    ...options.access,
    isPlane: () => false,
    audit: options.audit,
    admission,
    isReady: isServing,
    staleSinceMs: () => serving.termStore.staleSinceMs,
    onError: (error, operationId) => logger.error("An operation failed.", { operationId, reason: describeError(error) }),
    onRefused: (code) => metrics.adminRefused.inc({ code }),
    clock,
  });
}

function adminTls({ planeSvid, membership }: ClusterPlaneOptions): AdminTls {
  const { anchors, svid } = createTlsMaterial(planeSvid.current, [membership.federationBundle]);
  return { caPem: anchors.join(""), certificateChainPem: svid.certificateChainPem, privateKeyPem: svid.privateKeyPem };
}

/** What the plane that holds its trust domain's keys does for the others. */
function enrolling(options: ClusterPlaneOptions, { self, catalog, verifyChain, replicated }: Serving, onRefused: (reason: string) => void, signal: AbortSignal): JoinHandlers["signer"] {
  const { signer, attestation, joinGuard: guard, clock, logger } = options;
  if (signer === undefined) return undefined;
  const { federation, trustDomain } = self;
  const isMember = (cluster: string): boolean => {
    const { clusters } = replicated.state.current;
    return clusters.size === 0 || clusters.get(cluster)?.spec.trustDomain === trustDomain;
  };
  return signerHandlers({ signer, catalog, attestation, federation, trustDomain, verifyChain, isMember, guard, onRefused, clock, logger, signal });
}
