import { X509Certificate } from "node:crypto";
import type { RelationshipApproval, RelationshipSpec, TrustDomain } from "#federation/model/resource.ts";
import { relationshipSigningInput } from "#federation/model/signing-input.ts";
import { verifiesP256 } from "#federation/runtime/p256-signature.ts";
import { authorityPinOf } from "./authority-pin.ts";

/** True when the authority of that certificate signed exactly `input`; `signature` is base64url of IEEE P1363. */
export function isSignedByAuthority(authorityCertificatePem: string, input: Uint8Array, signature: string): boolean {
  try {
    const { publicKey } = new X509Certificate(authorityCertificatePem);
    return verifiesP256(input, Buffer.from(signature, "base64url"), publicKey);
  } catch {
    // An unreadable certificate, key or signature verifies nothing.
    return false;
  }
}

/** True when `approval` is the consent of its side's authority, the one that is pinned there, to exactly `terms`. */
export function isApprovalGenuine(relationship: string, { terms, approval }: { readonly terms: RelationshipSpec; readonly approval: RelationshipApproval }, trustDomain: TrustDomain): boolean {
  return (
    isPinned(trustDomain, terms[approval.side].authoritySha256) && isSignedByAuthority(trustDomain.spec.authorityCertificatePem, relationshipSigningInput(relationship, terms), approval.signature)
  );
}

/** True when `authoritySha256` pins the authority of `trustDomain`. */
export function isPinned({ spec }: TrustDomain, authoritySha256: string): boolean {
  try {
    return authorityPinOf(spec.authorityCertificatePem) === authoritySha256;
  } catch {
    // A certificate that cannot be read is nobody's.
    return false;
  }
}
