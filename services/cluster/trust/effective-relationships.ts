import { X509Certificate } from "node:crypto";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { Relationship, RelationshipApproval, RelationshipSide, TrustDomain } from "#federation/model/resource.ts";
import { relationshipSigningInput, trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { verifiesP256 } from "#federation/runtime/p256-signature.ts";

/** A relationship that both authorities have approved and whose date has not passed. */
export interface EffectiveRelationship {
  readonly name: string;
  readonly callerTrustDomain: TrustDomainName;
  readonly principals: readonly (SpiffeId | "*")[];
  readonly calleeTrustDomain: TrustDomainName;
  /** `namespace/name`. */
  readonly services: readonly string[];
}

/** Why a relationship has no effect, for its condition and for people. */
export type RelationshipVerdict =
  | { readonly kind: "effective"; readonly relationship: EffectiveRelationship }
  | { readonly kind: "none"; readonly reason: "Expired" | "AuthorityUnknown" | "AuthorityChanged" | "CallerHasNotApproved" | "CalleeHasNotApproved"; readonly message: string };

/**
 * Judges `relationship` by the authorities' own signatures: the global plane can withhold it, never invent it.
 * `trustDomains` is what is known of each trust domain, its authority certificate above all.
 */
export function judgeRelationship(relationship: Relationship, trustDomains: ReadonlyMap<string, TrustDomain>, nowMs: number): RelationshipVerdict {
  const { spec, metadata } = relationship;
  if (Date.parse(spec.validUntil) <= nowMs) return { kind: "none", reason: "Expired", message: `its date ${spec.validUntil} has passed` };
  for (const side of ["caller", "callee"] as const) {
    const verdict = judgeSide(relationship, side, trustDomains);
    if (verdict !== undefined) return verdict;
  }
  return {
    kind: "effective",
    relationship: {
      name: metadata.name,
      callerTrustDomain: spec.caller.trustDomain,
      principals: spec.caller.principals.map((principal) => (principal === "*" ? "*" : (`spiffe://${spec.caller.trustDomain}/${principal}` as SpiffeId))),
      calleeTrustDomain: spec.callee.trustDomain,
      services: spec.callee.services,
    },
  };
}

/** The verdict where `trustDomain`, one of its sides, has taken its own approval back. Pure. */
export function withdrawnVerdict({ spec }: Relationship, trustDomain: TrustDomainName): RelationshipVerdict {
  const reason = spec.caller.trustDomain === trustDomain ? "CallerHasNotApproved" : "CalleeHasNotApproved";
  return { kind: "none", reason, message: `${trustDomain} has taken its approval back` };
}

function judgeSide(relationship: Relationship, side: RelationshipSide, trustDomains: ReadonlyMap<string, TrustDomain>): RelationshipVerdict | undefined {
  const party = relationship.spec[side];
  const trustDomain = trustDomains.get(party.trustDomain);
  if (trustDomain === undefined) return { kind: "none", reason: "AuthorityUnknown", message: `nothing is known of ${party.trustDomain} yet` };
  if (authorityPin(trustDomain.spec.authorityCertificatePem) !== party.authoritySha256) {
    return { kind: "none", reason: "AuthorityChanged", message: `the authority of ${party.trustDomain} is not the one that the relationship pins` };
  }
  const approval = relationship.status?.approvals?.find((candidate) => candidate.side === side);
  if (approval === undefined || !isApprovedBy(relationship, approval, trustDomain)) {
    const reason = side === "caller" ? "CallerHasNotApproved" : "CalleeHasNotApproved";
    return { kind: "none", reason, message: `the authority of ${party.trustDomain} has not approved its present form` };
  }
  return undefined;
}

function isApprovedBy(relationship: Relationship, approval: RelationshipApproval, trustDomain: TrustDomain): boolean {
  return verifiesAgainst(
    trustDomain.spec.authorityCertificatePem,
    relationshipSigningInput(relationship.metadata.name, relationship.spec),
    Buffer.from(approval.signature, "base64url"),
  );
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
