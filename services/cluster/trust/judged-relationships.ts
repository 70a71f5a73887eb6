import type { Relationship, TrustDomain } from "#federation/model/resource.ts";
import { isBundleGenuine, judgeRelationship, type RelationshipVerdict } from "./effective-relationships.ts";

interface Judged {
  readonly caller: TrustDomain | undefined;
  readonly callee: TrustDomain | undefined;
  readonly verdict: RelationshipVerdict;
}

/** Verdicts on relationships and bundles: signatures are verified once for as long as nothing that was judged changes. */
export class JudgedRelationships {
  readonly #judged = new WeakMap<Relationship, Judged>();
  readonly #genuine = new WeakMap<TrustDomain, boolean>();

  /** As `judgeRelationship`. What holds gets the same verdict, the same object, until its end, or until it or one of its trust domains is another. */
  judge(relationship: Relationship, trustDomains: ReadonlyMap<string, TrustDomain>, nowMs: number): RelationshipVerdict {
    const caller = trustDomains.get(relationship.spec.caller.trustDomain);
    const callee = trustDomains.get(relationship.spec.callee.trustDomain);
    const known = this.#judged.get(relationship);
    if (known !== undefined && known.caller === caller && known.callee === callee && !isOver(relationship, known.verdict, nowMs)) return known.verdict;
    const verdict = judgeRelationship(relationship, trustDomains, nowMs);
    this.#judged.set(relationship, { caller, callee, verdict });
    return verdict;
  }

  /** As `isBundleGenuine`. */
  isGenuine(trustDomain: TrustDomain): boolean {
    let genuine = this.#genuine.get(trustDomain);
    if (genuine === undefined) {
      genuine = isBundleGenuine(trustDomain);
      this.#genuine.set(trustDomain, genuine);
    }
    return genuine;
  }
}

/** Whether time has made another verdict of it: what held has ended, or what was proposed. Once it has, this is asked anew each time. */
function isOver({ spec }: Relationship, verdict: RelationshipVerdict, nowMs: number): boolean {
  return nowMs >= (verdict.kind === "effective" ? verdict.relationship.untilMs : Date.parse(spec.validUntil));
}
