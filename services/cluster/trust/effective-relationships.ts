import { isApprovalGenuine, isPinned, isSignedByAuthority } from "#federation/identity/authority-signature.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { heldAt, relationshipSides, relationshipStanding, type RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Relationship, RelationshipSide, RelationshipSpec, TrustDomain } from "#federation/model/resource.ts";
import { trustDomainSigningInput } from "#federation/model/signing-input.ts";

/** What holds of a relationship: both authorities have signed it, nothing that was proposed since takes it away, and its end has not come. */
export interface EffectiveRelationship {
  readonly name: string;
  readonly callerTrustDomain: TrustDomainName;
  readonly principals: readonly (SpiffeId | "*")[];
  readonly calleeTrustDomain: TrustDomainName;
  /** `namespace/name`. */
  readonly services: readonly string[];
  /** Wall-clock ms. */
  readonly untilMs: number;
}

/** What a relationship does here, or why it does nothing, for its condition and for people. */
export type RelationshipVerdict = { readonly standing: RelationshipStanding } & (
  | { readonly kind: "effective"; readonly relationship: EffectiveRelationship }
  | { readonly kind: "none"; readonly reason: "Expired" | "AuthorityUnknown" | "AuthorityChanged" | "CallerHasNotApproved" | "CalleeHasNotApproved"; readonly message: string }
);

/**
 * Judges `relationship` by the authorities' own signatures: the global plane can withhold it, never invent it.
 * `trustDomains` is what is known of each trust domain, its authority certificate above all.
 */
export function judgeRelationship(relationship: Relationship, trustDomains: ReadonlyMap<string, TrustDomain>, nowMs: number): RelationshipVerdict {
  const { spec, metadata } = relationship;
  const standing = relationshipStanding(relationship, (terms, approval) => {
    const trustDomain = trustDomains.get(terms[approval.side].trustDomain);
    return trustDomain !== undefined && isApprovalGenuine(metadata.name, { terms, approval }, trustDomain);
  });
  const held = heldAt(standing, nowMs);
  if (held !== undefined) return { kind: "effective", standing, relationship: effective(metadata.name, held.terms) };
  if (Date.parse(spec.validUntil) <= nowMs) return { kind: "none", standing, reason: "Expired", message: `its date ${spec.validUntil} has passed` };
  const [fault] = relationshipSides.flatMap((side) => faultOfAuthority(spec[side], trustDomains) ?? []);
  if (fault !== undefined) return { kind: "none", standing, ...fault };
  const side = standing.waitsFor[0] ?? "caller";
  const ended = standing.inForce === undefined ? "" : `; what was agreed before ended at ${standing.inForce.terms.validUntil}`;
  return { kind: "none", standing, reason: notApproved[side], message: `the authority of ${spec[side].trustDomain} has not approved its present form${ended}` };
}

const notApproved = { caller: "CallerHasNotApproved", callee: "CalleeHasNotApproved" } as const;

function effective(name: string, { caller, callee, validUntil }: RelationshipSpec): EffectiveRelationship {
  return {
    name,
    callerTrustDomain: caller.trustDomain,
    principals: caller.principals.map((principal) => (principal === "*" ? "*" : (`spiffe://${caller.trustDomain}/${principal}` as SpiffeId))),
    calleeTrustDomain: callee.trustDomain,
    services: callee.services,
    untilMs: Date.parse(validUntil),
  };
}

/** The verdict where `trustDomain`, one of its sides, has taken its own approval back. Pure. */
export function withdrawnVerdict({ spec }: Relationship, trustDomain: TrustDomainName): RelationshipVerdict {
  const side = spec.caller.trustDomain === trustDomain ? "caller" : "callee";
  return { kind: "none", standing: { waitsFor: [side] }, reason: notApproved[side], message: `${trustDomain} has taken its approval back` };
}

function faultOfAuthority(party: RelationshipSpec[RelationshipSide], trustDomains: ReadonlyMap<string, TrustDomain>): { readonly reason: "AuthorityUnknown" | "AuthorityChanged"; readonly message: string } | undefined {
  const trustDomain = trustDomains.get(party.trustDomain);
  if (trustDomain === undefined) return { reason: "AuthorityUnknown", message: `nothing is known of ${party.trustDomain} yet` };
  if (isPinned(trustDomain, party.authoritySha256)) return undefined;
  return { reason: "AuthorityChanged", message: `the authority of ${party.trustDomain} is not the one that the relationship pins` };
}

/** True when the bundle of `trustDomain` carries its own authority's signature. */
export function isBundleGenuine(trustDomain: TrustDomain): boolean {
  const { authorityCertificatePem, bundle, bundleSignature } = trustDomain.spec;
  return isSignedByAuthority(authorityCertificatePem, trustDomainSigningInput(trustDomain.metadata.name as TrustDomainName, bundle), bundleSignature);
}
