import type { KeyObject, X509Certificate } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { parseX509, trustDomainOfAuthority } from "./authority.ts";
import { readSvidLeaf } from "./certificate-reader.ts";
import { isIssuedBy } from "./issued-by.ts";
import { isP256 } from "./key-pair.ts";

/** Whose SVID a chain was; who proves to hold `publicKey`'s other half is the same still. */
export type LapsedSvidVerdict =
  | { readonly kind: "known"; readonly spiffeId: SpiffeId; readonly publicKey: KeyObject; readonly notAfterMs: number }
  | { readonly kind: "refused"; readonly reason: string };

/** By what an SVID is judged that may have ended. */
export interface LapsedSvidExpectation {
  /** Of today: a root that was taken out of it vouches for nobody any more, also not for the past. */
  readonly bundle: TrustBundle;
  /** DER; none unless told. Whose keys only the judge has ever had: it knows what it has issued by them, whatever became of the roots above. */
  readonly ownIntermediates?: readonly Uint8Array[];
  readonly nowMs: number;
  /** How long after its end an SVID still says who its holder is. */
  readonly lapseMsMax: number;
}

/**
 * Judges a chain in DER, leaf first, without the root, that no TLS handshake would take once its leaf has ended. It is held to the
 * same rules as ever, as of its leaf's end where that is past: signed up to a root of its own trust domain's bundle, or by an intermediate
 * of the judge's own, each certificate within its time, one intermediate at most. About 0.3 ms.
 */
export function judgeLapsedSvid(chain: readonly Uint8Array[], expected: LapsedSvidExpectation): LapsedSvidVerdict {
  try {
    return judge(chain, expected);
  } catch (error) {
    return refused(error instanceof AtollError ? error.message : "the chain cannot be read");
  }
}

function judge([leafDer, ...above]: readonly Uint8Array[], { bundle, ownIntermediates = [], nowMs, lapseMsMax }: LapsedSvidExpectation): LapsedSvidVerdict {
  if (leafDer === undefined || above.length > 1) return refused("an SVID has a leaf and one intermediate at most");
  const reading = readSvidLeaf(leafDer);
  if (reading.kind === "refused") return reading;
  const { spiffeId } = reading;
  if (trustDomainOf(spiffeId) !== bundle.trustDomain) return refused(`${spiffeId} is not of ${bundle.trustDomain}`);
  const leaf = parseX509(leafDer);
  if (!isP256(leaf.publicKey)) return refused("the key is not a P-256 key");
  const notAfterMs = leaf.validToDate.getTime();
  if (nowMs > notAfterMs + lapseMsMax) return refused("the certificate ended too long ago");

  const atMs = Math.min(nowMs, notAfterMs);
  let lower = leaf;
  for (const der of above) {
    const issuer = parseX509(der);
    if (trustDomainOfAuthority(der) !== bundle.trustDomain || !isIssuedBy(lower, issuer)) return refused("the certificate is not issued by its intermediate");
    if (!isCurrent(lower, atMs)) return refused("the certificate was not valid then");
    lower = issuer;
  }
  if (!isCurrent(lower, atMs)) return refused("the certificate was not valid then");
  const isOwn = above.some((der) => ownIntermediates.some((own) => Buffer.compare(own, der) === 0));
  const isVouchedFor = isOwn || bundle.x509Authorities.map(parseX509).some((root) => isIssuedBy(lower, root) && isCurrent(root, atMs));
  return isVouchedFor ? { kind: "known", spiffeId, publicKey: leaf.publicKey, notAfterMs } : refused(`no root of ${bundle.trustDomain} vouches for the certificate`);
}

function isCurrent(certificate: X509Certificate, atMs: number): boolean {
  return certificate.validFromDate.getTime() <= atMs && atMs <= certificate.validToDate.getTime();
}

function refused(reason: string): LapsedSvidVerdict {
  return { kind: "refused", reason };
}
