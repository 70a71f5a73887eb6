import { parseKeyPair } from "#federation/identity/key-pair.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { signBytes } from "#federation/wire/signed-object.ts";
import { keyRenewalContext, type KeyRenewalRequest } from "#federation/wire/workload-messages.ts";

/** The request for the SVID after `svid`, for the key in `csr`, proved by the key of `svid`. */
export function keyRenewalRequest(svid: X509Svid, csr: Uint8Array): KeyRenewalRequest {
  const proof = signBytes(keyRenewalContext, csr, parseKeyPair(svid.privateKeyPem).privateKey);
  return { certificateChain: parseChainPem(svid.certificateChainPem), csr, proof };
}

/** @throws {ATOLL_CERTIFICATE_INVALID} when `next` does not say who `svid` did. */
export function refuseOther(next: X509Svid, svid: X509Svid): void {
  if (next.spiffeId !== svid.spiffeId) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the plane renewed ${svid.spiffeId} as ${next.spiffeId}`);
}
