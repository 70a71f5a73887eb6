import { timingSafeEqual, type KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import { parseX509, trustDomainOfAuthority } from "./authority.ts";
import { faultOfKeyRules, readCertificate, readExtendedKeyUsages, readLeafIdentity } from "./certificate-reader.ts";
import { oids } from "./der.ts";
import { isP256, spkiSha256 } from "./key-pair.ts";

/** Whether a signing chain may speak for an origin; the key then verifies the origin's objects until `notAfterMs`. */
export type SigningChainVerdict =
  | { readonly kind: "trusted"; readonly publicKey: KeyObject; readonly notAfterMs: number }
  | { readonly kind: "refused"; readonly reason: string };

/** What a signing chain has to match. */
export interface SigningChainExpectation {
  /** Lower-case hex SHA-256 of the authority key's SubjectPublicKeyInfo, pinned when the origin joined. */
  readonly authoritySha256: string;
  /** The origin's own signing identity, e.g. `spiffe://shop.example/atoll/signing/shop-eu`. */
  readonly spiffeId: SpiffeId;
  readonly nowMs: number;
}

/**
 * Judges a chain `[signing certificate, authority]` in DER. The authority is trusted by its pinned key alone; the leaf must be
 * signed by it, current, meant for signing (so that no SVID can sign objects), and carry exactly the expected identity.
 * About 0.2 ms; callers keep the verdict by the chain's bytes until `notAfterMs`.
 */
export function verifySigningChain(chain: readonly Uint8Array[], expected: SigningChainExpectation): SigningChainVerdict {
  const [leafDer, authorityDer] = chain;
  if (chain.length !== 2 || leafDer === undefined || authorityDer === undefined) return refused("a signing chain has two certificates");
  try {
    return judge(leafDer, authorityDer, expected);
  } catch (error) {
    return refused(error instanceof AtollError ? error.message : "the signing chain cannot be read");
  }
}

function judge(leafDer: Uint8Array, authorityDer: Uint8Array, expected: SigningChainExpectation): SigningChainVerdict {
  const authority = parseX509(authorityDer);
  const pin = Buffer.from(expected.authoritySha256, "hex");
  const actual = Buffer.from(spkiSha256(authority.publicKey), "hex");
  if (pin.length !== actual.length || !timingSafeEqual(pin, actual)) return refused("the authority is not the pinned one");
  if (trustDomainOfAuthority(authorityDer) !== trustDomainOf(expected.spiffeId)) return refused("the authority belongs to another trust domain");

  const leaf = parseX509(leafDer);
  if (!isP256(leaf.publicKey)) return refused("the signing key is not a P-256 key");
  if (!leaf.checkIssued(authority) || !leaf.verify(authority.publicKey)) return refused("the signing certificate is not issued by the authority");
  for (const certificate of [leaf, authority]) {
    if (expected.nowMs < certificate.validFromDate.getTime()) return refused("the signing chain is not valid yet");
    if (expected.nowMs > certificate.validToDate.getTime()) return refused("the signing chain has expired");
  }
  const fields = readCertificate(leafDer);
  const fault = faultOfKeyRules(fields);
  if (fault !== undefined) return refused(fault);
  const purposes = readExtendedKeyUsages(fields);
  if (purposes?.length !== 1 || purposes[0] !== oids.codeSigning) return refused("the certificate is not meant for signing objects");
  const identity = readLeafIdentity(fields);
  if (identity.kind === "refused") return identity;
  if (identity.spiffeId !== expected.spiffeId) return refused(`the chain speaks for ${identity.spiffeId}`);
  const notAfterMs = Math.min(leaf.validToDate.getTime(), authority.validToDate.getTime());
  return { kind: "trusted", publicKey: leaf.publicKey, notAfterMs };
}

function refused(reason: string): SigningChainVerdict {
  return { kind: "refused", reason };
}
