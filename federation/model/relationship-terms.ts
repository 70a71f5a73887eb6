import type { AgreedTerms, RecordedApproval, RelationshipApproval, RelationshipSide, RelationshipSpec, RelationshipStatus, RelationshipWithdrawal } from "./resource.ts";
import { relationshipSigningInput } from "./signing-input.ts";

export const relationshipSides = ["caller", "callee"] as const satisfies readonly RelationshipSide[];

/** What holds of a relationship, and what is missing to what is proposed. */
export interface RelationshipStanding {
  /** What holds until its `validUntil`, which may have passed, and since when (RFC 3339); absent: nothing does. */
  readonly inForce?: { readonly terms: RelationshipSpec; readonly since: string };
  /** The sides that have not approved what is proposed; none where that is what holds already. */
  readonly waitsFor: readonly RelationshipSide[];
}

/** Of a relationship, what its standing follows from. */
export interface Judged {
  readonly spec: RelationshipSpec;
  readonly status?: RelationshipStatus | undefined;
}

/** True when the authority that `terms` pin for the approval's side has signed exactly them. */
export type IsGenuine = (terms: RelationshipSpec, approval: RelationshipApproval) => boolean;

/** True when the same bytes are signed for both: the order of lists and the notation of the end do not count. Pure. */
export function isSameTerms(a: RelationshipSpec, b: RelationshipSpec): boolean {
  return a === b || Buffer.compare(relationshipSigningInput("", a), relationshipSigningInput("", b)) === 0;
}

/** What both allow: undefined where that is nothing, as between different parties or authorities. Pure, O(principals + services). */
export function commonTerms(a: RelationshipSpec, b: RelationshipSpec): RelationshipSpec | undefined {
  const isOfSameAuthorities = relationshipSides.every((side) => a[side].trustDomain === b[side].trustDomain && a[side].authoritySha256 === b[side].authoritySha256);
  const principals = commonPrincipals(a.caller.principals, b.caller.principals);
  const services = common(a.callee.services, b.callee.services);
  if (!isOfSameAuthorities || principals.length === 0 || services.length === 0) return undefined;
  const validUntil = Date.parse(b.validUntil) < Date.parse(a.validUntil) ? b.validUntil : a.validUntil;
  return { caller: { ...a.caller, principals }, callee: { ...a.callee, services }, validUntil };
}

/**
 * What holds: the terms that both sides have signed exactly, as far as the proposed ones and what each side has signed last allow it, too.
 * So a wider proposal changes nothing before both have approved it, a narrower one counts at once, and what a side has signed since is a
 * bound that no edit takes away. Says nothing about the end. Pure; verifies at most four signatures.
 */
export function relationshipStanding({ spec, status }: Judged, isGenuine: IsGenuine): RelationshipStanding {
  const said = saidIn({ spec, status }).filter(({ terms, approval }) => isGenuine(terms, approval));
  const agreed = agreedBy(said) ?? status?.agreed;
  const isAgreed = agreed !== undefined && relationshipSides.every((side) => agreed.approvals.some((approval) => approval.side === side && isGenuine(agreed.terms, approval)));
  const terms = isAgreed ? [spec, ...said.map((one) => one.terms)].reduce<RelationshipSpec | undefined>((held, bound) => held && commonTerms(held, bound), agreed.terms) : undefined;
  const waitsFor = terms !== undefined && isSameTerms(terms, spec) ? [] : relationshipSides.filter((side) => !said.some((one) => one.approval.side === side && isSameTerms(one.terms, spec)));
  return { ...(terms === undefined || !isAgreed ? {} : { inForce: { terms, since: latestTime(agreed.approvals.map(({ approvedAt }) => approvedAt)) } }), waitsFor };
}

/** What holds at `nowMs`, wall-clock ms: nothing any more once its end has come. Pure. */
export function heldAt({ inForce }: RelationshipStanding, nowMs: number): RelationshipStanding["inForce"] {
  return inForce !== undefined && Date.parse(inForce.terms.validUntil) > nowMs ? inForce : undefined;
}

/**
 * The status of `previous` beside another spec: each approval keeps the terms that it is for, and what both had agreed on is kept with
 * both signatures. Between other parties nothing of it counts any more, and nothing is told of it. Pure.
 */
export function carriedStatus({ spec, status }: Judged, next: RelationshipSpec): RelationshipStatus | undefined {
  if (status === undefined) return undefined;
  const { approvals: _, agreed: agreedBefore, ...rest } = status;
  if (relationshipSides.some((side) => spec[side].trustDomain !== next[side].trustDomain)) return { ...rest, approvals: [] };
  const said = saidIn({ spec, status });
  const agreed = agreedBy(said) ?? agreedBefore;
  const isNext = said.length === relationshipSides.length && said.every(({ terms }) => isSameTerms(terms, next));
  return {
    ...rest,
    approvals: said.map(({ approval, terms }) => (isSameTerms(terms, next) ? approval : { ...approval, terms: agreed !== undefined && isSameTerms(terms, agreed.terms) ? "agreed" : terms })),
    ...(agreed === undefined || isNext ? {} : { agreed }),
  };
}

/** The status with what a side has approved now, the present spec; `isAgreed`: that is what both have approved. Pure. */
export function withApproval(status: RelationshipStatus | undefined, approval: RelationshipApproval, isAgreed: boolean): RelationshipStatus {
  const { approvals = [], agreed, ...rest } = status ?? {};
  const others = approvals.filter(({ side }) => side !== approval.side);
  return { ...rest, approvals: [...others, approval].toSorted((a, b) => (a.side < b.side ? -1 : 1)), ...(agreed === undefined || isAgreed ? {} : { agreed }) };
}

/** True when `withdrawal` ends `approval`: it was said by the same side, and not before it. Pure. */
export function isEnded(approval: RelationshipApproval, withdrawal: RelationshipWithdrawal | undefined): boolean {
  return withdrawal !== undefined && withdrawal.side === approval.side && Date.parse(approval.approvedAt) <= Date.parse(withdrawal.withdrawnAt);
}

/** The status without the approvals that have ended, nor what was agreed by one of them. Pure. */
export function withoutApprovals(status: RelationshipStatus | undefined, isOver: (approval: RelationshipApproval) => boolean): RelationshipStatus {
  const { approvals = [], agreed, ...rest } = status ?? {};
  const standing = approvals.filter((approval) => !isOver(approval));
  if (agreed === undefined || !agreed.approvals.some(isOver)) return { ...rest, approvals: standing, ...(agreed === undefined ? {} : { agreed }) };
  return { ...rest, approvals: standing.map((approval) => (approval.terms === "agreed" ? { ...approval, terms: agreed.terms } : approval)) };
}

/** All approvals that a relationship rests on: what each side has approved last, and by what was agreed. Pure. */
export function standingApprovals(status: RelationshipStatus | undefined): readonly RecordedApproval[] {
  return [...(status?.approvals ?? []), ...(status?.agreed?.approvals ?? [])];
}

/** What one of the approvals of a relationship is for; undefined where that is not told. Pure. */
export function approvedTerms({ terms }: RecordedApproval, { spec, status }: Judged): RelationshipSpec | undefined {
  return terms === "agreed" ? status?.agreed?.terms : (terms ?? spec);
}

/** An approval as its side's signer has said it. Pure. */
export function withoutTerms({ side, signature, approvedAt }: RecordedApproval): RelationshipApproval {
  return { side, signature, approvedAt };
}

interface Said {
  readonly approval: RelationshipApproval;
  readonly terms: RelationshipSpec;
}

/** What each side has approved last, with its terms. */
function saidIn(relationship: Judged): readonly Said[] {
  return (relationship.status?.approvals ?? []).flatMap((approval) => {
    const terms = approvedTerms(approval, relationship);
    return terms === undefined ? [] : [{ approval: withoutTerms(approval), terms }];
  });
}

function agreedBy(said: readonly Said[]): AgreedTerms | undefined {
  const [first, second] = said;
  if (first === undefined || second === undefined || !isSameTerms(first.terms, second.terms)) return undefined;
  return { terms: first.terms, approvals: said.map(({ approval }) => approval) };
}

function commonPrincipals(a: readonly string[], b: readonly string[]): readonly string[] {
  if (a.includes("*")) return b;
  return b.includes("*") ? a : common(a, b);
}

function common(a: readonly string[], b: readonly string[]): readonly string[] {
  const other = new Set(b);
  return a.filter((one) => other.has(one));
}

/** The latest of one time or more (RFC 3339). Pure. */
export function latestTime(times: readonly string[]): string {
  return times.reduce((latest, at) => (Date.parse(at) > Date.parse(latest) ? at : latest));
}
