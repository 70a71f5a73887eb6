import { status } from "@grpc/grpc-js";
import { verifyJwtSvid } from "#federation/identity/jwt-svid.ts";
import { isSpiffeId } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { isServiceError } from "#federation/wire/grpc-services.ts";
import { jwtSvidRequestCodec, jwtSvidResponseCodec, structOf, validateJwtSvidRequestCodec, validateJwtSvidResponseCodec } from "#federation/wire/spiffe-workload.ts";
import { boundedAudience } from "#federation/wire/workload-messages.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import type { WorkloadAnswers } from "./workload-answers.ts";
import type { WorkloadRefusal } from "./workload-stats.ts";

/** What becomes of one call. `details` where the caller can mend what is wrong. */
export type CallOutcome = { readonly kind: "answer"; readonly bytes: Uint8Array } | { readonly kind: "refuse"; readonly why: WorkloadRefusal; readonly details?: string };

/** FetchJWTSVID: a token of the one identity that there is, for the audience that the request names. */
export async function fetchJwtSvid(request: Uint8Array, { spiffeId }: WorkloadAnswers, tokens: Pick<JwtSvids, "get">): Promise<CallOutcome> {
  try {
    const { audience, spiffeId: wanted } = jwtSvidRequestCodec.decode(request);
    if (wanted !== "" && !isSpiffeId(wanted)) return refused("request", "spiffe_id is no SPIFFE ID");
    boundedAudience(audience);
    if (wanted !== "" && wanted !== spiffeId) return refused("otherIdentity");
    return { kind: "answer", bytes: jwtSvidResponseCodec.encode({ svids: [{ spiffeId, svid: await tokens.get(audience), hint: "" }] }) };
  } catch (error) {
    if (isAtollError(error, "ATOLL_WIRE_INVALID", "ATOLL_WIRE_TOO_LARGE")) return refused("request", describeError(error));
    if (isAtollError(error, "ATOLL_ABORTED")) return refused("ending");
    if (isServiceError(error, status.PERMISSION_DENIED)) return refused("identityRefused");
    if (isAtollError(error, "ATOLL_PEER_UNAVAILABLE") || isAnswerOfPlane(error)) return refused("noToken");
    throw error;
  }
}

/** ValidateJWTSVID: who a token proves its bearer to be, by the bundles that this workload is told. */
export async function validateJwtSvid(request: Uint8Array, { domains }: WorkloadAnswers, clock: Clock): Promise<CallOutcome> {
  try {
    const { audience, svid } = validateJwtSvidRequestCodec.decode(request);
    if (audience === "" || svid === "") return refused("request", "an audience and a token are needed");
    const { spiffeId, claims } = await verifyJwtSvid(svid, { audience, bundleOf: (trustDomain) => domains.find((bundle) => bundle.trustDomain === trustDomain), clock });
    return { kind: "answer", bytes: validateJwtSvidResponseCodec.encode({ spiffeId, claims: structOf(claims) }) };
  } catch (error) {
    if (isAtollError(error, "ATOLL_TOKEN_REFUSED")) return refused("token", error.message);
    if (isAtollError(error, "ATOLL_WIRE_INVALID", "ATOLL_WIRE_TOO_LARGE")) return refused("request", describeError(error));
    throw error;
  }
}

/** Whatever a call of gRPC may end with. */
function isAnswerOfPlane(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "number";
}

function refused(why: WorkloadRefusal, details?: string): CallOutcome {
  return { kind: "refuse", why, ...(details === undefined ? {} : { details }) };
}
