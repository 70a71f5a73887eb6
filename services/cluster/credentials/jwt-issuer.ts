import type { handleUnaryCall } from "@grpc/grpc-js";
import { peerOfCall } from "#federation/identity/grpc-listener.ts";
import { signJwtSvid } from "#federation/identity/jwt-svid.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { JwtRequest, JwtResponse } from "#federation/wire/workload-messages.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import { subscriberOf } from "../peer-identity.ts";
import { addressOf, unary } from "./enrolment.ts";
import type { JwtKeys } from "./jwt-keys.ts";
import { RateByCaller } from "./rate-by-caller.ts";

export interface JwtIssuerOptions {
  readonly self: ClusterSelf;
  readonly keys: Pick<JwtKeys, "signer">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onIssued: () => void;
  readonly onRefused: (code: string) => void;
}

/** How long a JWT-SVID holds, in ms: whoever gets hold of one can use it for so long. SPIRE's default, too. */
export const jwtSvidMs = 5 * 60_000;

/**
 * Issues JWT-SVIDs to workloads, by keys in memory and no store: the subject is the caller's own SPIFFE ID, from its certificate, and only the
 * audience is its choice. Whom `Renew` does not renew has no certificate soon, and no token a life of `jwtSvidMs` later.
 */
export function jwtIssuer(options: JwtIssuerOptions): handleUnaryCall<JwtRequest, JwtResponse> {
  const { self, keys, clock } = options;
  const rates = new RateByCaller(clock);
  return unary(options, async ({ audience }, call) => {
    const subscriber = subscriberOf(peerOfCall(call), self);
    if (subscriber?.kind !== "workload") throw new AtollError("ATOLL_PEER_UNVERIFIED", "only workloads of this cluster's trust domain have JWT-SVIDs");
    // The instances of one workload are many, and told apart by where they are.
    if (!rates.enter(`${subscriber.identity} ${addressOf(call.getPeer())}`)) throw new AtollError("ATOLL_JOIN_OVERLOADED", `${subscriber.identity} asks for too many JWT-SVIDs`);
    const { signer } = keys;
    if (signer === undefined) throw new AtollError("ATOLL_STORE_UNAVAILABLE", "the key of JWT-SVIDs is not published yet");
    const { token, issuedAtMs, expiresAtMs } = signJwtSvid(signer, { spiffeId: subscriber.identity, audience, validityMs: jwtSvidMs, nowMs: clock.nowMs() });
    options.onIssued();
    return { token, issuedAtMs, expiresAtMs };
  });
}
