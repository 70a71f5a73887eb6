import { attestationKinds, attestationLimits, type AttestationKind } from "#federation/model/attestation.ts";
import type { JoinProof } from "#federation/model/join-proof.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { decodeJoinToken, joinTokenPrefix } from "./join-token.ts";

const prefix = "attested1.";

/** An attestation as one string, beside `atoll1.…` of tokens. A secret while the document is good for a new key: never log it. */
export function encodeAttestation(kind: AttestationKind, document: string): string {
  return `${prefix}${kind}.${document}`;
}

/** What somebody who wants to join shows: a token, or a document that others signed. @throws {ATOLL_JOIN_TOKEN_INVALID} without saying what it held. */
export function decodeJoinProof(text: string): JoinProof {
  if (!text.startsWith(prefix)) {
    const { id, secret } = decodeJoinToken(text);
    return { kind: "token", id, secret: Buffer.from(secret, "base64url") };
  }
  const end = text.indexOf(".", prefix.length);
  const source = attestationKinds.find((kind) => kind === text.slice(prefix.length, end));
  const document = text.slice(end + 1);
  if (source === undefined) throw new AtollError("ATOLL_JOIN_TOKEN_INVALID", `a join proof begins with ${joinTokenPrefix} or ${prefix} and one of ${attestationKinds.join(", ")}`);
  // What AWS, Azure and all issuers of signed tokens give out is base64 or base64url, with dots between parts.
  if (document.length > attestationLimits.documentLength || !/^[A-Za-z0-9+/=._-]+$/.test(document)) throw new AtollError("ATOLL_JOIN_TOKEN_INVALID", "the attested document is damaged or too long");
  return { kind: "attestation", source, document };
}
