import { renewAnswerSchema, renewPath, renewRequestSchema } from "#federation/admin-api/join-contract.ts";
import { administratorsAlone } from "#federation/admin-api/access.ts";
import type { AuditTrail } from "#federation/admin-api/audit.ts";
import { auditOperation } from "#federation/admin-api/audit-operation.ts";
import type { Caller } from "#federation/admin-api/caller.ts";
import { withLastKnown } from "#federation/admin-api/last-known-backend.ts";
import { joinTokenOperations } from "#federation/admin-api/join-token-operations.ts";
import { globalKinds, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { resourceOperations, type ResourceBackend } from "#federation/admin-api/resource-routes.ts";
import { refusedRollback, rollbackOperations, type ReadFormerForms } from "#federation/admin-api/rollback-operations.ts";
import { rolloutOperation, type RolloutSource } from "#federation/admin-api/rollout-operation.ts";
import type { RolloutWaits } from "#federation/admin-api/rollout-waits.ts";
import { defineRoute, implement, type Operation } from "#federation/admin-api/route.ts";
import { shownRelationship, storedRelationship } from "#federation/admin-api/relationship-conditions.ts";
import { shownBackend } from "#federation/admin-api/shown-backend.ts";
import { whileSole, type KnownRival } from "#federation/admin-api/sole-operations.ts";
import { storeOperations, type StoreOperationsOptions } from "#federation/admin-api/store-operations.ts";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import { withdrawalOperations, type HeldBack } from "#federation/admin-api/withdrawal-operations.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CollectionState } from "#federation/catalog/collection.ts";
import { createTokenMint } from "#federation/identity/join-token.ts";
import { withoutTerms, type RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Relationship, ResourceKinds } from "#federation/model/resource.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { FederationKeys } from "../federation-keys.ts";
import { clusterOfPlane, renewCluster, type JoinClusterOptions } from "../join/join-cluster.ts";
import type { GlobalResources } from "../relay/global-objects.ts";
import { recordedDeletions } from "../store/recorded-deletions.ts";
import { clusterAdmission, regionAdmission, relationshipAdmission, trustDomainAdmission } from "./admissions.ts";
import { endApproval, recordApproval } from "./approvals.ts";
import { shownPolicies, type PolicyBasis } from "./shown-policies.ts";

type GlobalKind = (typeof globalKinds)[number];

/** By kind. */
export type StoredResources = { readonly [K in GlobalKind]: Watched<CollectionState<ResourceKinds[K]>> };

export function storedResources({ regions, clusters, trustDomains, relationships, policies }: GlobalResources): StoredResources {
  return { Region: regions, Cluster: clusters, TrustDomain: trustDomains, Relationship: relationships, TrafficPolicy: policies };
}

export interface GlobalOperationsOptions {
  readonly keys: FederationKeys;
  readonly catalog: Catalog;
  /** As they were read last. */
  readonly stored: StoredResources;
  /** What else policies may refer to. */
  readonly referred: Omit<PolicyBasis, "stored">;
  /** The store is known not to answer. */
  readonly isAway: () => boolean;
  readonly status: () => FederationStatus;
  /** As `relationshipStanding`. */
  readonly standing: (relationship: Relationship) => RelationshipStanding;
  readonly rollout: { readonly epoch: number; readonly waits: RolloutWaits; readonly look: RolloutSource["look"] };
  readonly joinAddress: string;
  readonly joining: JoinClusterOptions;
  readonly onRenewed: () => void;
  readonly store: StoreOperationsOptions;
  /** What is held back of what a cluster has withdrawn, by its id. */
  readonly withdrawals: ReadonlyMap<string, HeldBack>;
  /** Another process of this plane's name that is alive now. */
  readonly rival: () => KnownRival | undefined;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** A cluster's plane renews its own certificate; nobody else may, and it may nothing else. */
const renewClusterPlane = defineRoute({
  operationId: "renewClusterPlane",
  method: "POST",
  path: renewPath,
  summary: "Certifies the next key of the calling cluster plane",
  access: "plane",
  body: renewRequestSchema,
  answer: renewAnswerSchema,
});

/** Cluster planes renew their certificates here, and may nothing else. */
export function isClusterPlane(caller: Caller): boolean {
  return caller.kind === "certificate" && clusterOfPlane(caller.spiffeId) !== undefined;
}

/** Between two states of a followed status. */
const statusIntervalMs = 1_000;

/** The global plane's admin API. */
export function globalOperations(options: GlobalOperationsOptions): readonly Operation[] {
  return [...whileSole(ownOperations(options), options.rival), ...storeOperations(options.store), ...withdrawalOperations(options.withdrawals)];
}

/** What is asked of the global plane about the federation, and none of it of its store. */
function ownOperations(options: GlobalOperationsOptions): readonly Operation[] {
  const { keys, catalog, stored, referred, isAway, status, standing, rollout, joinAddress, joining, onRenewed, audit, clock } = options;
  const backend = <K extends GlobalKind>(kind: K, state: Watched<CollectionState<ResourceKinds[K]>>): ResourceBackend<K> => withLastKnown(recordedDeletions(kind, catalog, clock), { isAway, state });
  const former = <K extends GlobalKind>(kind: K): ReadFormerForms<K> => async (id, inner) => await catalog.resources(kind).formerForms(id, inner);
  return [
    ...resourceOperations("Region", backend("Region", stored.Region), { admission: regionAdmission(catalog) }),
    ...resourceOperations("Cluster", backend("Cluster", stored.Cluster), { admission: clusterAdmission(catalog) }),
    ...resourceOperations("TrustDomain", backend("TrustDomain", stored.TrustDomain), { admission: trustDomainAdmission }),
    ...resourceOperations("Relationship", shownBackend(backend("Relationship", stored.Relationship), { show: (relationship) => shownRelationship(relationship, { standing: standing(relationship) }, clock.nowMs()), stored: storedRelationship }), { admission: relationshipAdmission }),
    ...resourceOperations("TrafficPolicy", shownPolicies(backend("TrafficPolicy", stored.TrafficPolicy), { stored, ...referred })),
    ...rollbackOperations("Region", backend("Region", stored.Region), former("Region"), { admission: regionAdmission(catalog) }),
    ...rollbackOperations("Cluster", backend("Cluster", stored.Cluster), former("Cluster"), { admission: clusterAdmission(catalog) }),
    ...rollbackOperations("TrafficPolicy", backend("TrafficPolicy", stored.TrafficPolicy), former("TrafficPolicy")),
    refusedRollback("TrustDomain"),
    refusedRollback("Relationship"),
    ...globalKinds.map((kind) => rolloutOperation(kind, rolloutSource(kind, options), { waits: rollout.waits, clock })),
    auditOperation(globalRoutes.audit, audit),
    ...joinTokenOperations({
      single: catalog.joinTokens,
      many: catalog.provisioningTokens,
      mint: createTokenMint(joinAddress, keys.rootPem),
      judge: (_purpose, demand) => demand(administratorsAlone),
      checkPurpose: ({ kind }) => {
        if (kind !== "cluster") throw new AtollError("ATOLL_REQUEST_INVALID", "purpose: the global plane takes tokens of cluster planes only; ask the cluster's plane for others");
      },
      nowMs: () => clock.nowMs(),
    }),
    implement(
      globalRoutes.status,
      async () => ({ body: status() }),
      async function* watchStatus(_request, signal) {
        while (!signal.aborted) {
          yield { type: "status" as const, status: status() };
          await sleep(clock, statusIntervalMs, signal).catch(() => undefined);
        }
      },
    ),
    implement(globalRoutes.recordApproval, async ({ params, query, body, ifRevision, demand }, signal) => {
      const { relationship, isNew, revisionBefore } = await recordApproval({ catalog, demand }, { name: params.name, approval: body, ifRevision, dryRun: query.dryRun ?? false }, signal);
      const { revision } = relationship.metadata;
      return {
        body: { name: relationship.metadata.name, approvals: (relationship.status?.approvals ?? []).map(withoutTerms) },
        ...(revision === undefined ? {} : { revision }),
        change: {
          outcome: isNew ? "changed" : "unchanged",
          kind: "Relationship",
          id: params.name,
          revisionBefore,
          ...(revision === undefined ? {} : { revisionAfter: revision }),
          fields: isNew ? [`status.approvals[${body.side}]`] : [],
        },
      };
    }),
    implement(globalRoutes.endApproval, async ({ params, body, demand }, signal) => {
      const missing = new AtollError("ATOLL_NOT_FOUND", `there is no Relationship ${params.name}`);
      const stored = await catalog.resources("Relationship").get(params.name, signal);
      if (stored === undefined) throw missing;
      demand({ oneOfTrustDomains: [stored.value.spec[body.side].trustDomain], everyNamespace: "all" });
      const relationship = await endApproval(catalog, params.name, body, signal);
      if (relationship === undefined) throw missing;
      const { revision } = relationship.metadata;
      const isChanged = revision !== stored.revision;
      return {
        body: { name: params.name, approvals: (relationship.status?.approvals ?? []).map(withoutTerms) },
        change: { outcome: isChanged ? "changed" : "unchanged", kind: "Relationship", id: params.name, revisionBefore: stored.revision, ...(revision === undefined ? {} : { revisionAfter: revision }), fields: isChanged ? [`status.approvals[${body.side}]`] : [] },
      };
    }),
    implement(renewClusterPlane, async ({ body, caller }, signal) => {
      if (caller.kind !== "certificate") throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "a plane renews by its certificate");
      const answer = await renewCluster(joining, { csr: body.csr, caller: caller.spiffeId }, signal);
      onRenewed();
      return { body: answer, change: { outcome: "done", kind: "ClusterPlane", id: clusterOfPlane(caller.spiffeId) ?? "" } };
    }),
  ];
}

function rolloutSource(kind: GlobalKind, { catalog, stored, isAway, rollout: { epoch, look } }: GlobalOperationsOptions): RolloutSource {
  return {
    epoch,
    isOwner: true,
    look,
    generationOf: async (id, signal) => {
      const known = isAway() ? stored[kind].current.items.get(id) : await catalog.resources(kind).get(id, signal);
      return known === undefined ? undefined : { epoch, revision: known.revision };
    },
  };
}
