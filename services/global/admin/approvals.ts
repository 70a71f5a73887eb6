import { isDeepStrictEqual } from "node:util";
import type { Scope } from "#federation/admin-api/access.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { isApprovalGenuine } from "#federation/identity/authority-signature.ts";
import { approvedTerms, isEnded, relationshipSides, withApproval, withoutApprovals } from "#federation/model/relationship-terms.ts";
import type { Relationship, RelationshipApproval, RelationshipSpec, RelationshipStatus, RelationshipWithdrawal, TrustDomain } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** An approval as its side's signer has sent it. */
export interface ApprovalToRecord {
  readonly name: string;
  readonly approval: RelationshipApproval;
  /** Only over this revision of the relationship. */
  readonly ifRevision: number | undefined;
  readonly dryRun: boolean;
}

/** What became of it; without `isNew` it was there already. */
export interface RecordingOutcome {
  readonly relationship: Relationship;
  readonly isNew: boolean;
  readonly revisionBefore: number;
}

/**
 * Records a side's approval when its authority signed exactly the present spec. Clusters check the signature again by
 * themselves; checking it here gives whoever sends it the answer at once. One that says no more than a later one of its side stays out.
 * @throws {ATOLL_NOT_FOUND | ATOLL_REQUEST_INVALID | ATOLL_STORE_CONFLICT | ATOLL_ADMIN_FORBIDDEN}
 */
export async function recordApproval(
  { catalog, demand }: { readonly catalog: Catalog; readonly demand: (scope: Scope) => void },
  { name, approval, ifRevision, dryRun }: ApprovalToRecord,
  signal: AbortSignal,
): Promise<RecordingOutcome> {
  const relationships = catalog.resources("Relationship");
  const stored = await relationships.get(name, signal);
  if (stored === undefined) throw new AtollError("ATOLL_NOT_FOUND", `there is no Relationship ${name}`);
  const { spec } = stored.value;
  const party = spec[approval.side];
  demand({ oneOfTrustDomains: [party.trustDomain], everyNamespace: "all" });
  if (ifRevision !== undefined && ifRevision !== stored.revision) throw new AtollError("ATOLL_STORE_CONFLICT", `Relationship ${name} is at revision ${stored.revision}, not ${ifRevision}`);
  const trustDomains = new Map<string, TrustDomain>();
  for (const side of relationshipSides) {
    const trustDomain = await catalog.resources("TrustDomain").get(spec[side].trustDomain, signal);
    if (trustDomain !== undefined) trustDomains.set(spec[side].trustDomain, trustDomain.value);
  }
  if (!trustDomains.has(party.trustDomain)) throw new AtollError("ATOLL_REQUEST_INVALID", `the trust domain ${party.trustDomain} has not joined yet`);
  // The relationship may be another by the time of the write: what was judged before would be recorded for what nobody has signed.
  const decide = (present: Relationship): RelationshipStatus => decideStatus(present, approval, trustDomains);
  const decided = decide(stored.value);
  const isNew = !isDeepStrictEqual(stored.value.status, decided);
  if (dryRun) return { relationship: { ...stored.value, status: decided }, isNew, revisionBefore: stored.revision };
  const updated = await relationships.setStatus(name, decide, signal);
  if (updated === undefined) throw new AtollError("ATOLL_NOT_FOUND", `the Relationship ${name} was deleted meanwhile`);
  return { relationship: updated, isNew, revisionBefore: stored.revision };
}

/** The status of `present` with the approval. @throws {ATOLL_REQUEST_INVALID} when it is not one of what is proposed now. */
function decideStatus(present: Relationship, approval: RelationshipApproval, trustDomains: ReadonlyMap<string, TrustDomain>): RelationshipStatus {
  const { metadata, spec, status } = present;
  const party = spec[approval.side];
  const isGenuine = (terms: RelationshipSpec, one: RelationshipApproval): boolean => {
    const trustDomain = trustDomains.get(terms[one.side].trustDomain);
    return trustDomain !== undefined && isApprovalGenuine(metadata.name, { terms, approval: one }, trustDomain);
  };
  if (!isGenuine(spec, approval)) {
    throw new AtollError("ATOLL_REQUEST_INVALID", `the signature is not one of the authority of ${party.trustDomain} over the present form of ${metadata.name}`);
  }
  const recorded = status?.approvals?.find(({ side }) => side === approval.side);
  const recordedTerms = recorded && approvedTerms(recorded, present);
  if (recorded !== undefined && recordedTerms !== undefined && isGenuine(recordedTerms, recorded) && Date.parse(recorded.approvedAt) > Date.parse(approval.approvedAt)) {
    if (recorded.terms === undefined) return status ?? {};
    throw new AtollError("ATOLL_REQUEST_INVALID", `${party.trustDomain} has approved other terms of ${metadata.name} later, at ${recorded.approvedAt}: its signer has to approve these anew`);
  }
  const other = status?.approvals?.find(({ side }) => side !== approval.side);
  return withApproval(status, approval, other !== undefined && other.terms === undefined && isGenuine(spec, other));
}

/**
 * Takes from the relationship the approvals that `withdrawal` ends, if they still hold, and what was agreed by one of them; what was
 * approved afterwards stays. Answers the relationship, or undefined when there is none any more.
 */
export async function endApproval(catalog: Catalog, name: string, withdrawal: RelationshipWithdrawal, signal: AbortSignal): Promise<Relationship | undefined> {
  return await catalog.resources("Relationship").setStatus(name, ({ status }) => withoutApprovals(status, (approval) => isEnded(approval, withdrawal)), signal);
}
