import type { Catalog } from "#federation/catalog/catalog.ts";
import { isApprovalGenuine } from "#federation/identity/authority-signature.ts";
import { parseClusterJwtAuthorities } from "#federation/identity/cluster-jwt-authorities.ts";
import type { Cluster, Relationship, RelationshipApproval, RelationshipWithdrawal, TrustDomain } from "#federation/model/resource.ts";
import { approvedTerms, isEnded, standingApprovals } from "#federation/model/relationship-terms.ts";
import { jwtAuthoritiesKind, type ObjectPayload } from "#federation/model/replicated-object.ts";
import { relationshipApprovalSchema, relationshipWithdrawalSchema } from "#federation/model/parse/resource-schemas.ts";
import { parseExportedService, parseKind } from "#federation/model/parse/parse-resource.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { endApproval, recordApproval } from "../admin/approvals.ts";
import { judgeTrustDomain } from "../trust/judge-trust-domain.ts";

/** What is known when brought objects are looked through. */
export interface BroughtView {
  readonly objects: readonly ObjectPayload[];
  readonly relationship: (name: string) => Relationship | undefined;
  readonly trustDomain: (name: string) => TrustDomain | undefined;
}

export type BroughtChange =
  | { readonly kind: "approval"; readonly relationship: string; readonly approval: RelationshipApproval }
  | { readonly kind: "withdrawal"; readonly relationship: string; readonly withdrawal: RelationshipWithdrawal }
  | { readonly kind: "trustDomain"; readonly trustDomain: TrustDomain };

/**
 * Whether a cluster may say `payload` at all: its own services in the namespaces that it may export, what its trust
 * domain's authority signed, and nothing in another's name. Never throws: what cannot be read is not admitted. Pure.
 */
export function mayBring(cluster: Cluster, payload: ObjectPayload): boolean {
  const { trustDomain } = cluster.spec;
  if (payload.originTrustDomain !== trustDomain || payload.origin !== cluster.metadata.name) return false;
  if (payload.tombstone) return payload.kind === "ServiceExport" || payload.kind === "TrustDomain" || payload.kind === "RelationshipApproval" || payload.kind === jwtAuthoritiesKind;
  try {
    switch (payload.kind) {
      case "TrustDomain":
        return payload.key === trustDomain && trustDomainOf(payload)?.metadata.name === trustDomain;
      case "RelationshipApproval":
        return approvalOf(payload) !== undefined || withdrawalOf(payload) !== undefined;
      case "ServiceExport":
        return isOwnExport(cluster, payload);
      case jwtAuthoritiesKind:
        return payload.key === payload.origin && parseClusterJwtAuthorities(payload.value).length > 0;
      default:
        return false;
    }
  } catch (error) {
    if (isAtollError(error)) return false;
    throw error;
  }
}

function isOwnExport(cluster: Cluster, payload: ObjectPayload): boolean {
  const { trustDomain, region, exportNamespaces } = cluster.spec;
  const exported = parseExportedService(payload.value);
  return (
    exported.cluster === cluster.metadata.name &&
    exported.trustDomain === trustDomain &&
    exported.region === region &&
    `${exported.namespace}/${exported.name}` === payload.key &&
    exportNamespaces.includes(exported.namespace) &&
    exported.serverIdentities.every((identity) => identity.startsWith(`spiffe://${trustDomain}/ns/${exported.namespace}/`))
  );
}

/**
 * What the brought objects change: an approval counts for the side of its bringer's trust domain, when that side's
 * authority signed the present form and no newer good one is recorded; a withdrawal ends what that side approved before it;
 * a trust domain by a newer bundle of the pinned authority. Applying what is answered and asking again answers nothing more. Pure.
 */
export function changesBrought(view: BroughtView): readonly BroughtChange[] {
  const withdrawals = latestWithdrawals(view);
  const approvals = new Map<string, BroughtChange & { readonly kind: "approval" }>();
  const trustDomains = new Map<string, BroughtChange & { readonly kind: "trustDomain" }>();
  for (const payload of view.objects) {
    if (payload.tombstone) continue;
    if (payload.kind === "RelationshipApproval") {
      const change = approvalChange(payload, view);
      const id = `${payload.key}/${change?.approval.side}`;
      if (change !== undefined && !isEnded(change.approval, withdrawals.get(id)) && isLater(change.approval, approvals.get(id)?.approval)) approvals.set(id, change);
    } else if (payload.kind === "TrustDomain") {
      const next = trustDomainOf(payload);
      const present = view.trustDomain(payload.originTrustDomain);
      // Joining pins an authority, replication never does: without a present one there is nothing to compare with.
      if (present === undefined || next === undefined || payload.key !== payload.originTrustDomain || next.metadata.name !== payload.key) continue;
      const verdict = judgeTrustDomain(present.metadata.name as Parameters<typeof judgeTrustDomain>[0], present.spec, next.spec);
      if (verdict.kind === "accepted" && !trustDomains.has(payload.key)) trustDomains.set(payload.key, { kind: "trustDomain", trustDomain: next });
    }
  }
  const ended = [...withdrawals].flatMap(([id, withdrawal]) => {
    const relationship = id.slice(0, id.lastIndexOf("/"));
    const isStanding = standingApprovals(view.relationship(relationship)?.status).some((approval) => isEnded(approval, withdrawal));
    return isStanding ? [{ kind: "withdrawal", relationship, withdrawal } as const] : [];
  });
  return [...ended, ...approvals.values(), ...trustDomains.values()];
}

/** By relationship and side, the latest word of that side's own trust domain that it approves no longer. */
function latestWithdrawals(view: BroughtView): ReadonlyMap<string, RelationshipWithdrawal> {
  const latest = new Map<string, RelationshipWithdrawal>();
  for (const payload of view.objects) {
    if (payload.kind !== "RelationshipApproval" || payload.tombstone) continue;
    const withdrawal = withdrawalOf(payload);
    if (withdrawal === undefined || view.relationship(payload.key)?.spec[withdrawal.side].trustDomain !== payload.originTrustDomain) continue;
    const id = `${payload.key}/${withdrawal.side}`;
    const other = latest.get(id);
    if (other === undefined || Date.parse(withdrawal.withdrawnAt) > Date.parse(other.withdrawnAt)) latest.set(id, withdrawal);
  }
  return latest;
}

function approvalChange(payload: ObjectPayload, view: BroughtView): (BroughtChange & { readonly kind: "approval" }) | undefined {
  const approval = approvalOf(payload);
  const relationship = view.relationship(payload.key);
  if (approval === undefined || relationship === undefined) return undefined;
  const party = relationship.spec[approval.side];
  const trustDomain = view.trustDomain(party.trustDomain);
  if (party.trustDomain !== payload.originTrustDomain || trustDomain === undefined || !isApprovalGenuine(payload.key, { terms: relationship.spec, approval }, trustDomain)) return undefined;
  const recorded = relationship.status?.approvals?.find((other) => other.side === approval.side);
  // One of other terms is a later word all the same.
  const terms = recorded && approvedTerms(recorded, relationship);
  const isRecordedGood = recorded !== undefined && terms !== undefined && isApprovalGenuine(payload.key, { terms, approval: recorded }, trustDomain);
  if (isRecordedGood && !isLater(approval, recorded)) return undefined;
  return { kind: "approval", relationship: payload.key, approval };
}

function isLater(approval: RelationshipApproval, other: RelationshipApproval | undefined): boolean {
  return other === undefined || Date.parse(approval.approvedAt) > Date.parse(other.approvedAt);
}

function approvalOf(payload: ObjectPayload): RelationshipApproval | undefined {
  const parsed = relationshipApprovalSchema.safeParse(jsonOf(payload));
  return parsed.success ? parsed.data : undefined;
}

function withdrawalOf(payload: ObjectPayload): RelationshipWithdrawal | undefined {
  const parsed = relationshipWithdrawalSchema.safeParse(jsonOf(payload));
  return parsed.success ? parsed.data : undefined;
}

function trustDomainOf(payload: ObjectPayload): TrustDomain | undefined {
  const parsed = parseKind("TrustDomain", jsonOf(payload));
  return parsed.kind === "parsed" ? parsed.value : undefined;
}

function jsonOf(payload: ObjectPayload): unknown {
  try {
    return JSON.parse(Buffer.from(payload.value).toString("utf8"));
  } catch {
    // Not JSON: no schema lets undefined through.
    return undefined;
  }
}

/** What clusters bring is believed by its signature, and asks for no role. */
function bySignature(): void {}

/** Writes what `changesBrought` found. A change that does not hold any more is left to the next look. @throws {ATOLL_STORE_UNAVAILABLE} */
export async function applyBrought(changes: readonly BroughtChange[], catalog: Catalog, logger: Logger, signal: AbortSignal): Promise<void> {
  for (const change of changes) {
    try {
      if (change.kind === "approval") {
        await recordApproval({ catalog, demand: bySignature }, { name: change.relationship, approval: change.approval, ifRevision: undefined, dryRun: false }, signal);
        logger.info("An approval was recorded.", { relationship: change.relationship, side: change.approval.side });
      } else if (change.kind === "withdrawal") {
        await endApproval(catalog, change.relationship, change.withdrawal, signal);
        logger.info("An approval was taken back.", { relationship: change.relationship, side: change.withdrawal.side });
      } else {
        await catalog.resources("TrustDomain").apply(change.trustDomain, {}, signal);
        logger.info("A trust domain's bundle was renewed.", { trustDomain: change.trustDomain.metadata.name });
      }
    } catch (error) {
      if (!isAtollError(error, "ATOLL_NOT_FOUND", "ATOLL_REQUEST_INVALID")) throw error;
      logger.warn("What a cluster brought could not be applied.", { kind: change.kind, reason: describeError(error) });
    }
  }
}
