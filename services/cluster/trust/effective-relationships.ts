import { X509Certificate } from "node:crypto";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { relationshipSides, relationshipStanding, type RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Relationship, RelationshipApproval, RelationshipSide, RelationshipSpec, TrustDomain } from "#federation/model/resource.ts";
import { relationshipSigningInput, trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { verifiesP256 } from "#federation/runtime/p256-signature.ts";

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
  const standing = relationshipStanding(relationship, (terms, approval) => isApprovedBy(metadata.name, { terms, approval }, trustDomains));
  const terms = standing.inForce?.terms;
  if (terms !== undefined && Date.parse(terms.validUntil) > nowMs) return { kind: "effective", standing, relationship: effective(metadata.name, terms) };
  if (Date.parse(spec.validUntil) <= nowMs) return { kind: "none", standing, reason: "Expired", message: `its date ${spec.validUntil} has passed` };
  const [fault] = relationshipSides.flatMap((side) => faultOfAuthority(spec[side], trustDomains) ?? []);
  if (fault !== undefined) return { kind: "none", standing, ...fault };
  const side = standing.waitsFor[0] ?? "caller";
  const ended = terms === undefined ? "" : `; what was agreed before ended at ${terms.validUntil}`;
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
  if (authorityPin(trustDomain.spec.authorityCertificatePem) === party.authoritySha256) return undefined;
  return { reason: "AuthorityChanged", message: `the authority of ${party.trustDomain} is not the one that the relationship pins` };
}

/** By the authority that the terms pin, and no other. */
function isApprovedBy(name: string, { terms, approval }: { readonly terms: RelationshipSpec; readonly approval: RelationshipApproval }, trustDomains: ReadonlyMap<string, TrustDomain>): boolean {
  const party = terms[approval.side];
  const pem = trustDomains.get(party.trustDomain)?.spec.authorityCertificatePem;
  return pem !== undefined && authorityPin(pem) === party.authoritySha256 && verifiesAgainst(pem, relationshipSigningInput(name, terms), Buffer.from(approval.signature, "base64url"));
}

/** True when the bundle of `trustDomain` carries its own authority's signature. */
export function isBundleGenuine(trustDomain: TrustDomain): boolean {
  const { authorityCertificatePem, bundle, bundleSignature } = trustDomain.spec;
  const input = trustDomainSigningInput(trustDomain.metadata.name as TrustDomainName, bundle);
  return verifiesAgainst(authorityCertificatePem, input, Buffer.from(bundleSignature, "base64url"));
}

/** SHA-256 of the certificate's SPKI, lower-case hex: how an authority is pinned. */
export function authorityPin(certificatePem: string): string | undefined {
  try {
    return authorityPinOf(certificatePem);
  } catch {
    // A certificate that cannot be read pins nothing; the caller says which one.
    return undefined;
  }
}

function verifiesAgainst(certificatePem: string, input: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verifiesP256(input, signature, new X509Certificate(certificatePem).publicKey);
  } catch {
    // An unreadable certificate or signature verifies nothing.
    return false;
  }
}
