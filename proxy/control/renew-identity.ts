import { status, type Client } from "@grpc/grpc-js";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { acceptExactly } from "#federation/identity/tls-options.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { callUnary, identityService, isServiceError, joinService } from "#federation/wire/grpc-services.ts";
import type { IdentityResponse } from "#federation/wire/workload-messages.ts";
import type { Dialing } from "./host-resolver.ts";
import { keyRenewalRequest, refuseOther } from "./key-proof.ts";
import { createClient, type Plane } from "./plane-link.ts";

/** The SVID after another, and the bundles that the plane sent along. */
export interface Renewed {
  readonly svid: X509Svid;
  readonly bundles: readonly TrustBundle[];
}

/** Who renews by key, and where. */
export interface KeyRenewal {
  readonly plane: Plane;
  /** `host:port` of join ports of that plane. */
  readonly addresses: readonly string[];
  /** The newest SVID there was. */
  readonly svid: X509Svid;
  readonly dialing: Dialing;
}

/** Each attempt; the next one begins from nothing, so that a connection that leads nowhere holds up none but its own. */
const renewTimeoutMs = 5_000;

/** Renews an SVID that holds, over `client`, which shows it. @throws grpc-js's errors. @throws {ATOLL_CERTIFICATE_INVALID} */
export async function renewByCertificate(client: Client, svid: X509Svid, nowMs: number, signal: AbortSignal): Promise<Renewed> {
  return renewed(svid, (csr) => callUnary(client, identityService.renew, { csr }, { deadlineMs: renewTimeoutMs, nowMs, signal }));
}

/**
 * Renews by the key of `svid`, which may have ended, at the plane's join port: that one is open for as long as the plane's process runs,
 * whatever became of its store.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED} when the plane does not know the holder by it any more. @throws {ATOLL_CERTIFICATE_INVALID} and grpc-js's errors.
 */
export async function renewByKey({ plane, addresses, svid, dialing }: KeyRenewal, signal: AbortSignal): Promise<Renewed> {
  const tls = { anchors: createAnchors([plane.bundle]), accept: acceptExactly([plane.identity]) };
  const client = createClient(addresses, () => tls, dialing);
  try {
    return await renewed(svid, (csr) => callUnary(client, joinService.renewByKey, keyRenewalRequest(svid, csr), { deadlineMs: renewTimeoutMs, nowMs: dialing.clock.nowMs(), signal }));
  } catch (error) {
    if (isServiceError(error, status.PERMISSION_DENIED)) throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the plane does not renew this identity by its key", { cause: error });
    throw error;
  } finally {
    client.close();
  }
}

async function renewed(svid: X509Svid, ask: (csr: Uint8Array) => Promise<IdentityResponse>): Promise<Renewed> {
  const keys = createKeyPair();
  const { certificateChain, bundles } = await ask(createCsr(keys));
  const next = createX509Svid(certificateChain, exportPrivateKeyPem(keys.privateKey));
  refuseOther(next, svid);
  return { svid: next, bundles };
}
