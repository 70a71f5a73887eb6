import { isApprovalGenuine } from "#federation/identity/authority-signature.ts";
import { heldAt, relationshipStanding, type RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Relationship, RelationshipSpec, TrustDomain } from "#federation/model/resource.ts";

interface Judged {
  readonly caller: TrustDomain | undefined;
  readonly callee: TrustDomain | undefined;
  readonly standing: RelationshipStanding;
}

/** What holds of each relationship by the signatures of both authorities; each is judged once for as long as nothing of it changes. */
export class ApprovedRelationships {
  readonly #judged = new WeakMap<Relationship, Judged>();

  /** As `relationshipStanding`; the same object until the relationship or one of its trust domains is another. */
  standing(relationship: Relationship, trustDomains: (name: string) => TrustDomain | undefined): RelationshipStanding {
    const caller = trustDomains(relationship.spec.caller.trustDomain);
    const callee = trustDomains(relationship.spec.callee.trustDomain);
    const known = this.#judged.get(relationship);
    if (known !== undefined && known.caller === caller && known.callee === callee) return known.standing;
    const standing = relationshipStanding(relationship, (terms, approval) => {
      const trustDomain = trustDomains(terms[approval.side].trustDomain);
      return trustDomain !== undefined && isApprovalGenuine(relationship.metadata.name, { terms, approval }, trustDomain);
    });
    this.#judged.set(relationship, { caller, callee, standing });
    return standing;
  }

  /** The terms that hold now; undefined when none do. The same object for as long as they are the same. */
  inForce(relationship: Relationship, trustDomains: (name: string) => TrustDomain | undefined, nowMs: number): RelationshipSpec | undefined {
    return heldAt(this.standing(relationship, trustDomains), nowMs)?.terms;
  }
}
