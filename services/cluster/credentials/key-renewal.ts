import type { handleUnaryCall } from "@grpc/grpc-js";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import { judgeLapsedSvid } from "#federation/identity/lapsed-svid.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { verifyBytes } from "#federation/wire/signed-object.ts";
import { keyRenewalContext, type IdentityResponse, type KeyRenewalRequest } from "#federation/wire/workload-messages.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import { subscriberOf } from "../peer-identity.ts";
import { unary } from "./enrolment.ts";
import { issueWorkloadSvid, type SvidIssuing } from "./workload-issuer.ts";

export interface KeyRenewalOptions extends SvidIssuing {
  readonly self: ClusterSelf;
  /** By which a proxy knows its plane. */
  readonly federationBundle: TrustBundle;
  /** `host:port` of this plane's discovery port, for a proxy that has forgotten it; none where the system gives the port. */
  readonly discoveryAddresses: readonly string[];
  /** How long after its end an SVID is renewed by its key. */
  readonly lapseMsMax: number;
  readonly logger: Logger;
  readonly guard: JoinGuard;
  readonly onRefused: (code: string) => void;
}

/**
 * Issues the SVID after one whose key the caller proves to hold, also for some time after that has ended. It takes the plane's keys alone,
 * so that neither a store that is away nor a machine that slept ends an identity for good.
 */
export function keyRenewal(options: KeyRenewalOptions): handleUnaryCall<KeyRenewalRequest, IdentityResponse> {
  const { self, keys, federationBundle, discoveryAddresses, lapseMsMax, clock, logger } = options;
  return unary(options, async ({ certificateChain, csr, proof }) => {
    const { bundle, ownIntermediates } = keys.current;
    const nowMs = clock.nowMs();
    const verdict = judgeLapsedSvid(certificateChain, { bundle, ownIntermediates, nowMs, lapseMsMax });
    if (verdict.kind === "refused") throw new AtollError("ATOLL_PEER_UNVERIFIED", verdict.reason);
    verifyBytes(keyRenewalContext, csr, proof, verdict.publicKey);
    const subscriber = subscriberOf(verdict.spiffeId, self);
    if (subscriber === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "only workloads of this cluster's trust domain renew here");
    const chain = issueWorkloadSvid(options, subscriber.identity, csr, "renewedByKey");
    if (verdict.notAfterMs <= nowMs) logger.info("An identity that had expired was renewed by its key.", { spiffeId: subscriber.identity, expiredForMs: nowMs - verdict.notAfterMs });
    return { certificateChain: chain, bundles: [federationBundle, bundle], discoveryAddresses };
  });
}
