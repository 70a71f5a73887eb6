import type { Scope } from "#federation/admin-api/access.ts";
import type { AuditTrail } from "#federation/admin-api/audit.ts";
import type { BackupRow } from "#federation/admin-api/backup-row.ts";
import { auditOperation } from "#federation/admin-api/audit-operation.ts";
import { withLastKnown } from "#federation/admin-api/last-known-backend.ts";
import { joinTokenOperations } from "#federation/admin-api/join-token-operations.ts";
import type { PlaneAdmission } from "#federation/admin-api/plane-admission.ts";
import { clusterKinds, clusterReadOnlyKinds, clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { shownRelationship, type FoundStanding } from "#federation/admin-api/relationship-conditions.ts";
import { readOnlyOperations, resourceOperations } from "#federation/admin-api/resource-routes.ts";
import { refusedRollback, rollbackOperations } from "#federation/admin-api/rollback-operations.ts";
import { rolloutOperation, type RolloutSource } from "#federation/admin-api/rollout-operation.ts";
import type { RolloutWaits } from "#federation/admin-api/rollout-waits.ts";
import { implement, type Operation } from "#federation/admin-api/route.ts";
import { readableShown } from "#federation/admin-api/shown-backend.ts";
import { storeOperations } from "#federation/admin-api/store-operations.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { createWatchedBackend } from "#federation/admin-api/watched-backend.ts";
import { withdrawalOperations, type HeldBack } from "#federation/admin-api/withdrawal-operations.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { createTokenMint } from "#federation/identity/join-token.ts";
import type { SeenEngines } from "#federation/model/engine-report.ts";
import { parseClusterId, parseRegionId, type TrustDomainName } from "#federation/model/names.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { resourceKey } from "#federation/model/resource.ts";
import { planeIncarnation } from "#federation/admin-api/plane-incarnation.ts";
import { whileSole } from "#federation/admin-api/sole-operations.ts";
import type { Incarnation } from "#federation/replication/shell/incarnation.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import type { ReceiverLag } from "#federation/replication/core/publisher.ts";
import type { TermStore } from "#federation/history/term-store.ts";
import type { StandingOf } from "#federation/replication/shell/run-publisher.ts";
import { heldAgeMs, type ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import type { NameRow } from "#federation/runtime/dns/dialled-names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { WriteFailures } from "#federation/runtime/write-failures.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";
import type { ClusterSelf, ClusterState } from "../cluster-state.ts";
import type { ClusterStateSource } from "../cluster-state-source.ts";
import type { StoredResources } from "../cluster-views.ts";
import type { ClusterKeySource } from "../credentials/cluster-credentials.ts";
import type { PlaneMembership } from "../credentials/plane-membership.ts";
import { closedRoles } from "../credentials/key-roles.ts";
import type { SignerRole } from "../credentials/signer-role.ts";
import type { DiscoveryService } from "../discovery/discovery-service.ts";
import type { FederatedBundles } from "../federated-bundles/federated-bundles.ts";
import { federatedAdmission } from "../federated-bundles/federated-admission.ts";
import { federatedRows } from "../federated-bundles/federated-rows.ts";
import type { OwnObjects } from "../exports/own-objects.ts";
import type { Registry } from "../registry/registry.ts";
import type { ReplicatedView } from "../replicated/replicated-view.ts";
import { clusterReconciler } from "../store/cluster-reconciler.ts";
import type { RelationshipVerdict } from "../trust/effective-relationships.ts";
import { approvalOperations } from "./approval-operations.ts";
import { bundleRows, type BundleFacts } from "./bundle-rows.ts";
import { clusterRollout } from "./cluster-rollout.ts";
import { exportAdmission } from "./export-admission.ts";
import { clusterStatus, type HeldAge } from "./cluster-status.ts";
import { explainService } from "./explain.ts";
import { rotationOperations } from "./rotation-operations.ts";
import { simulateService } from "./simulate.ts";

export interface ClusterOperationsOptions {
  readonly options: {
    readonly membership: PlaneMembership;
    /** Present at the plane that holds its trust domain's keys. */
    readonly signer: SignerRole | undefined;
    readonly keySource: ClusterKeySource;
    readonly audit: AuditTrail;
    readonly metrics: { readonly writeFailures: WriteFailures };
    readonly backups?: { readonly standing: BackupRow } | undefined;
    readonly bundleEndpoint?: { readonly standing: NonNullable<ClusterStatus["bundleEndpoint"]> } | undefined;
    readonly engines?: SeenEngines | undefined;
    readonly clock: Clock;
    readonly logger: Logger;
  };
  readonly termStore: TermStore;
  readonly standing: StoreStanding;
  readonly verifyChain: VerifyChain;
  readonly self: ClusterSelf;
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly source: ClusterStateSource;
  readonly stored: StoredResources;
  readonly federated: FederatedBundles;
  readonly isOwn: (name: TrustDomainName) => boolean;
  readonly discovery: DiscoveryService;
  readonly own: OwnObjects;
  readonly statuses: Watched<ReadonlyMap<string, ReceiverStatus>>;
  readonly lags: Watched<ReadonlyMap<string, ReceiverLag>>;
  readonly standings: ReadonlyMap<string, StandingOf>;
  readonly withdrawals: ReadonlyMap<string, HeldBack>;
  readonly incarnation: Incarnation;
  readonly exported: Watched<ClusterState | undefined>;
  readonly waits: RolloutWaits;
  readonly admission: PlaneAdmission;
  readonly epoch: number;
  readonly replicated: ReplicatedView;
  readonly joinAddress: string;
  /** The names that are dialled in this cluster, as they resolve now. */
  readonly names: () => readonly NameRow[];
}

/** Between two states of a followed status. */
const statusIntervalMs = 1_000;

/** The local admin API of a cluster: nothing that an operator needs in an outage dies with the global plane. */
export function clusterOperations(parts: ClusterOperationsOptions): readonly Operation[] {
  return [...whileSole(ownOperations(parts), () => parts.incarnation.met), ...storeOperationsOf(parts), ...withdrawalOperations(parts.withdrawals)];
}

function storeOperationsOf(parts: ClusterOperationsOptions): readonly Operation[] {
  const { catalog, options } = parts;
  return storeOperations({
    origin: parts.self.cluster,
    standing: parts.termStore.life.standing,
    objects: catalog.objects,
    verifyChain: parts.verifyChain,
    reconciler: clusterReconciler({ cluster: parts.self.cluster, catalog: parts.termStore.unguarded, guarded: catalog, clock: options.clock }),
    beginEpoch: async (above, inner) => await parts.termStore.life.beginEpoch(above, inner),
    backup: { federation: parts.self.federation, plane: parts.self.cluster, copy: async (inner) => await parts.termStore.copy(inner), clock: options.clock },
  });
}

/** What is asked of the plane about its cluster, and none of it of its store. */
function ownOperations(parts: ClusterOperationsOptions): readonly Operation[] {
  const { options, catalog, source, replicated } = parts;
  const { clock } = options;
  const isAway = (): boolean => parts.termStore.away.current !== undefined;
  const own = {
    FederatedTrustDomain: withLastKnown<"FederatedTrustDomain">(catalog.resources("FederatedTrustDomain"), { isAway, state: parts.stored.FederatedTrustDomain }),
    Service: withLastKnown<"Service">(catalog.resources("Service"), { isAway, state: parts.stored.Service }),
    ServiceExport: withLastKnown<"ServiceExport">(catalog.resources("ServiceExport"), { isAway, state: parts.stored.ServiceExport }),
  };
  return [
    ...resourceOperations("FederatedTrustDomain", own.FederatedTrustDomain, { trustDomain: parts.self.trustDomain, admission: federatedAdmission({ present: () => parts.stored.FederatedTrustDomain.current.items, isOwn: parts.isOwn }) }),
    refusedRollback("FederatedTrustDomain"),
    ...resourceOperations("Service", own.Service, { trustDomain: parts.self.trustDomain }),
    ...resourceOperations("ServiceExport", own.ServiceExport, { trustDomain: parts.self.trustDomain, admission: exportAdmission(() => source.state.current.exports) }),
    ...rollbackOperations("Service", own.Service, async (id, inner) => await catalog.resources("Service").formerForms(id, inner), { trustDomain: parts.self.trustDomain }),
    ...rollbackOperations("ServiceExport", own.ServiceExport, async (id, inner) => await catalog.resources("ServiceExport").formerForms(id, inner), { trustDomain: parts.self.trustDomain, admission: exportAdmission(() => source.state.current.exports) }),
    ...readOnlyOperations("ServiceImport", createWatchedBackend(source.imports)),
    ...readOnlyOperations("TrafficPolicy", createWatchedBackend(replicated.part("policies"))),
    ...readOnlyOperations("TrustDomain", createWatchedBackend(replicated.part("trustDomains"))),
    ...readOnlyOperations("Relationship", readableShown<"Relationship">(createWatchedBackend<"Relationship">(replicated.part("relationships")), (relationship) => shownRelationship(relationship, foundHere(source.verdict(relationship)), clock.nowMs()))),
    ...readOnlyOperations("Cluster", createWatchedBackend(replicated.part("clusters"))),
    ...readOnlyOperations("Region", createWatchedBackend(replicated.part("regions"))),
    ...clusterKinds.map((kind) => rolloutOperation(kind, { ...rolloutSource(parts), isOwner: true, generationOf: storedGeneration(own[kind], parts.epoch) }, { waits: parts.waits, clock })),
    ...clusterReadOnlyKinds.map((kind) => rolloutOperation(kind, { ...rolloutSource(parts), isOwner: false, generationOf: async (id) => source.state.current.generations.get(resourceKey(kind, id)) }, { waits: parts.waits, clock })),
    auditOperation(clusterRoutes.audit, options.audit),
    ...joinTokenOperations({
      single: catalog.joinTokens,
      many: catalog.provisioningTokens,
      mint: createTokenMint(parts.joinAddress, options.membership.facts.federationRootPem),
      judge: (purpose, demand) => demand(scopeOfToken(parts, purpose)),
      checkPurpose: (purpose) => checkPurpose(parts, purpose),
      nowMs: () => clock.nowMs(),
    }),
    implement(
      clusterRoutes.status,
      async () => ({ body: statusOf(parts) }),
      async function* watchStatus(_request, signal) {
        while (!signal.aborted) {
          yield { type: "status" as const, status: statusOf(parts) };
          await sleep(clock, statusIntervalMs, signal).catch(() => undefined);
        }
      },
    ),
    implement(clusterRoutes.bundles, async () => ({ body: { items: [...bundleRows(source.state.current, bundleFacts(parts))] } })),
    implement(clusterRoutes.explain, async ({ query }) => ({ body: explainService({ state: source.state.current, overloads: parts.registry.overloads, unreached: parts.registry.unreached, heldAgeMs: heldAgeOf(parts) }, query, clock.nowMs()) })),
    implement(clusterRoutes.simulate, async ({ query }) => {
      const { lostRegions, lostClusters, ...asked } = query;
      const loss = { regions: (lostRegions?.split(",") ?? []).map(parseRegionId), clusters: (lostClusters?.split(",") ?? []).map(parseClusterId) };
      return { body: simulateService({ state: source.state.current, overloads: parts.registry.overloads }, { ...asked, loss }, clock.nowMs()) };
    }),
    ...approvalOperations({ self: parts.self, signer: options.signer, relationship: (name) => replicated.state.current.relationships.get(name), own: parts.own, clock }),
    ...rotationOperations({ self: parts.self, signer: options.signer, clock, logger: options.logger }),
  ];
}

function bundleFacts(parts: ClusterOperationsOptions): BundleFacts {
  const { discovery, options } = parts;
  return { heardAgeMs: globalHeardAgeMs(parts), heldBy: (key, wanted) => discovery.heldBy(key, wanted), keys: options.keySource.keys.current, nowMs: options.clock.nowMs() };
}

/** What this cluster makes of a relationship. */
function foundHere(verdict: RelationshipVerdict): FoundStanding {
  return verdict.kind === "none" ? { standing: verdict.standing, fault: verdict } : { standing: verdict.standing };
}

/** Who may make a workload's identity in a namespace may make its token; gateways and planes are of the whole trust domain. */
function scopeOfToken({ self }: ClusterOperationsOptions, purpose: JoinPurpose): Scope {
  return { oneOfTrustDomains: [self.trustDomain], everyNamespace: purpose.kind === "workload" ? [purpose.namespace] : "all" };
}

function checkPurpose({ options, self }: ClusterOperationsOptions, purpose: JoinPurpose): void {
  if (purpose.kind === "cluster") throw new AtollError("ATOLL_REQUEST_INVALID", "purpose: a cluster joins by a token of the global plane");
  if (purpose.kind === "enrolment" && options.signer === undefined) {
    throw new AtollError("ATOLL_REQUEST_INVALID", `purpose: this plane is not the signer of ${self.trustDomain}; ask the plane that is`);
  }
}

function rolloutSource(parts: ClusterOperationsOptions): Pick<RolloutSource, "epoch" | "look"> {
  const { self, discovery, own, lags, standings, exported, epoch } = parts;
  return {
    epoch,
    look: (subject) =>
      clusterRollout(
        {
          cluster: self.cluster,
          heldBy: (key, wanted) => discovery.heldBy(key, wanted),
          exported: exported.current,
          published: own.publication.current.objects,
          global: { standing: standings.get(globalOrigin), heardAgeMs: globalHeardAgeMs(parts), behindMs: lags.current.get(globalOrigin)?.behindMs ?? 0 },
        },
        subject,
      ),
  };
}

function storedGeneration(own: { get(id: string, signal: AbortSignal): Promise<{ readonly revision: number } | undefined> }, epoch: number): RolloutSource["generationOf"] {
  return async (id, signal) => {
    const stored = await own.get(id, signal);
    return stored === undefined ? undefined : { epoch, revision: stored.revision };
  };
}

/** Since the global plane was last heard; undefined when it never was. */
function globalHeardAgeMs({ options, statuses }: ClusterOperationsOptions): number | undefined {
  const heardAt = statuses.current.get(globalOrigin)?.heardAtMonotonicMs;
  return heardAt === undefined ? undefined : options.clock.monotonicMs() - heardAt;
}

/** As the global plane, through which all that is known of other clusters comes, says it of them. */
function heldAgeOf({ options, statuses }: ClusterOperationsOptions): HeldAge {
  const status = statuses.current.get(globalOrigin);
  return (cluster) => (status === undefined ? undefined : heldAgeMs(status, cluster, options.clock.monotonicMs()));
}

function statusOf(parts: ClusterOperationsOptions): ClusterStatus {
  const { options, source, discovery, epoch } = parts;
  const { clock } = options;
  return clusterStatus(
    source.state.current,
    {
      generation: { epoch, revision: parts.own.publication.current.revision },
      heardAgeMs: globalHeardAgeMs(parts),
      heldAgeMs: heldAgeOf(parts),
      refusesUs: parts.lags.current.get(globalOrigin)?.needsReconcile === true,
      behindSinceMs: parts.statuses.current.get(globalOrigin)?.needsReconcileSinceMs,
      doubled: parts.statuses.current.get(globalOrigin)?.doubled,
      withdrawalsHeld: parts.statuses.current.get(globalOrigin)?.heldBack ?? 0,
      refused: parts.lags.current.get(globalOrigin)?.refused ?? [],
      intermediateNotAfterMs: options.keySource.keys.current.issuer?.notAfterMs ?? 0,
      closedRoles: closedRoles(options),
      signer: options.signer === undefined ? "remote" : "own",
      proxies: discovery.proxies,
      silentProxies: discovery.silent,
      policyTrials: discovery.policyTrials,
      overloads: parts.registry.overloads,
      unreached: parts.registry.unreached,
      unwritten: parts.registry.unwritten,
      clocks: parts.registry.clocks,
      names: parts.names(),
      store: parts.standing,
      storeAwaySinceMs: parts.termStore.away.current?.sinceMs,
      unfollowed: parts.termStore.unfollowed,
      writeFailures: options.metrics.writeFailures.current,
      backups: options.backups?.standing,
      bundleEndpoint: options.bundleEndpoint?.standing,
      federated: federatedRows(parts.stored.FederatedTrustDomain.current, source.state.current.bundles, parts.federated),
      engines: options.engines,
      apiOverloads: parts.admission.overloads,
      ...(parts.standing.state === "sound" ? { incarnation: planeIncarnation(parts.incarnation) } : {}),
    },
    clock.nowMs(),
  );
}
