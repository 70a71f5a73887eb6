import { parseX509 } from "./authority.ts";
import { spkiSha256 } from "./key-pair.ts";
import { parseChainPem } from "./pem.ts";

/** How an authority is pinned: SHA-256 of its public key's SPKI, lower-case hex. @throws {ATOLL_CERTIFICATE_INVALID} */
export function authorityPinOf(authorityCertificatePem: string): string {
  const [der = new Uint8Array()] = parseChainPem(authorityCertificatePem);
  return spkiSha256(parseX509(der).publicKey);
}
