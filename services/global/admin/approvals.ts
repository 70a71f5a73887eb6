import { isDeepStrictEqual } from "node:util";
import type { Scope } from "#federation/admin-api/access.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import type { Relationship, RelationshipApproval, RelationshipStatus, RelationshipWithdrawal } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { isEnded } from "../trust/approval-end.ts";
import { isApprovalGenuine } from "../trust/authority-signature.ts";

/** An approval as its side's signer has sent it. */
export interface ApprovalToRecord {
  readonly name: string;
  readonly approval: RelationshipApproval;
  /** Only over this revision of the relationship. */
  readonly ifRevision: number | undefined;
  readonly dryRun: boolean;
}

/** What became of it; without `isNew` it was there already. */
export interface RecordedApproval {
  readonly relationship: Relationship;
  readonly isNew: boolean;
  readonly revisionBefore: number;
}

/**
 * Records a side's approval when its authority signed exactly the present spec. Clusters check the signature again by
 * themselves; checking it here gives whoever sends it the answer at once.
 * @throws {ATOLL_NOT_FOUND | ATOLL_REQUEST_INVALID | ATOLL_STORE_CONFLICT | ATOLL_ADMIN_FORBIDDEN}
 */
export async function recordApproval(
  { catalog, demand }: { readonly catalog: Catalog; readonly demand: (scope: Scope) => void },
  { name, approval, ifRevision, dryRun }: ApprovalToRecord,
  signal: AbortSignal,
): Promise<RecordedApproval> {
  const relationships = catalog.resources("Relationship");
  const stored = await relationships.get(name, signal);
  if (stored === undefined) throw new AtollError("ATOLL_NOT_FOUND", `there is no Relationship ${name}`);
  const party = stored.value.spec[approval.side];
  demand({ oneOfTrustDomains: [party.trustDomain], everyNamespace: "all" });
  if (ifRevision !== undefined && ifRevision !== stored.revision) throw new AtollError("ATOLL_STORE_CONFLICT", `Relationship ${name} is at revision ${stored.revision}, not ${ifRevision}`);
  const trustDomain = await catalog.resources("TrustDomain").get(party.trustDomain, signal);
  if (trustDomain === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `the trust domain ${party.trustDomain} has not joined yet`);
  if (!isApprovalGenuine(stored.value, approval, trustDomain.value)) {
    throw new AtollError("ATOLL_REQUEST_INVALID", `the signature is not one of the authority of ${party.trustDomain} over the present form of ${name}`);
  }
  const isNew = !isDeepStrictEqual(stored.value.status?.approvals?.find(({ side }) => side === approval.side), approval);
  if (dryRun) return { relationship: { ...stored.value, status: withApproval(stored.value.status, approval) }, isNew, revisionBefore: stored.revision };
  const updated = await relationships.setStatus(name, ({ status }) => withApproval(status, approval), signal);
  if (updated === undefined) throw new AtollError("ATOLL_NOT_FOUND", `the Relationship ${name} was deleted meanwhile`);
  return { relationship: updated, isNew, revisionBefore: stored.revision };
}

/**
 * Takes from the relationship the approval that `withdrawal` ends, if it still holds; one that was given afterwards stays. Answers the
 * relationship, or undefined when there is none any more.
 */
export async function endApproval(catalog: Catalog, name: string, withdrawal: RelationshipWithdrawal, signal: AbortSignal): Promise<Relationship | undefined> {
  return await catalog.resources("Relationship").setStatus(
    name,
    ({ status }) => ({ ...status, approvals: (status?.approvals ?? []).filter((approval) => !isEnded(approval, withdrawal)) }),
    signal,
  );
}

function withApproval(status: RelationshipStatus | undefined, approval: RelationshipApproval): RelationshipStatus {
  const others = (status?.approvals ?? []).filter(({ side }) => side !== approval.side);
  return { ...status, approvals: [...others, approval].toSorted((a, b) => (a.side < b.side ? -1 : 1)) };
}
