import { X509Certificate } from "node:crypto";
import type { Relationship, RelationshipApproval, TrustDomain } from "#federation/model/resource.ts";
import { relationshipSigningInput } from "#federation/model/signing-input.ts";
import { verifiesP256 } from "#federation/runtime/p256-signature.ts";

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

/** True when `approval` is the consent of its side's authority to the present form of `relationship`. */
export function isApprovalGenuine(relationship: Relationship, approval: RelationshipApproval, trustDomain: TrustDomain): boolean {
  return isSignedByAuthority(
    trustDomain.spec.authorityCertificatePem,
    relationshipSigningInput(relationship.metadata.name, relationship.spec),
    approval.signature,
  );
}
