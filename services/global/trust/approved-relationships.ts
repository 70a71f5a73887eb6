import type { Relationship, RelationshipSide, TrustDomain } from "#federation/model/resource.ts";
import { isApprovalGenuine } from "./authority-signature.ts";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";

interface Judged {
  readonly caller: TrustDomain | undefined;
  readonly callee: TrustDomain | undefined;
  readonly isApproved: boolean;
}

/** Which relationships both authorities have signed in their present form; each is judged once for as long as nothing of it changes. */
export class ApprovedRelationships {
  readonly #judged = new WeakMap<Relationship, Judged>();

  /** True when both sides approved and the date has not passed. */
  isActive(relationship: Relationship, trustDomains: (name: string) => TrustDomain | undefined, nowMs: number): boolean {
    return Date.parse(relationship.spec.validUntil) > nowMs && this.#isApproved(relationship, trustDomains);
  }

  #isApproved(relationship: Relationship, trustDomains: (name: string) => TrustDomain | undefined): boolean {
    const caller = trustDomains(relationship.spec.caller.trustDomain);
    const callee = trustDomains(relationship.spec.callee.trustDomain);
    const known = this.#judged.get(relationship);
    if (known !== undefined && known.caller === caller && known.callee === callee) return known.isApproved;
    const isApproved = isSideApproved(relationship, "caller", caller) && isSideApproved(relationship, "callee", callee);
    this.#judged.set(relationship, { caller, callee, isApproved });
    return isApproved;
  }
}

function isSideApproved(relationship: Relationship, side: RelationshipSide, trustDomain: TrustDomain | undefined): boolean {
  if (trustDomain === undefined || authorityPinOf(trustDomain.spec.authorityCertificatePem) !== relationship.spec[side].authoritySha256) return false;
  const approval = relationship.status?.approvals?.find((candidate) => candidate.side === side);
  return approval !== undefined && isApprovalGenuine(relationship, approval, trustDomain);
}
