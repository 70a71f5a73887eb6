import { errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from "jose";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Bounds of a token and of the keys that it is held against. */
export const jwtLimits = {
  tokenBytes: 16 * 1024,
  keysBytes: 256 * 1024,
  /** Between two clocks, either way. */
  leewaySeconds: 60,
  /** A token that says it is older has been kept, whatever its `exp` says. */
  lifeSecondsMax: 86_400,
} as const;

/** What is expected of a token besides the signature; audience and algorithms always are. */
export type TokenExpectation = JWTVerifyOptions & { readonly audience: string; readonly algorithms: string[] };

/**
 * The payload of a token that `key` signed and that is as expected now, give or take the leeway. The rejection says what is wrong, never the token.
 * Rejects with {ATOLL_TOKEN_REFUSED}.
 */
export async function verifyToken(token: string, key: Parameters<typeof jwtVerify>[1], expected: TokenExpectation, clock: Clock): Promise<JWTPayload> {
  boundToken(token);
  // The library takes an empty audience for none that is asked for.
  if (expected.audience === "") throw refusedToken("no audience is expected");
  try {
    const options = { ...expected, clockTolerance: jwtLimits.leewaySeconds, currentDate: new Date(clock.nowMs()) };
    return (await (typeof key === "function" ? jwtVerify(token, key, options) : jwtVerify(token, key, options))).payload;
  } catch (cause) {
    throw cause instanceof errors.JOSEError ? refusedToken(describeJose(cause, expected), cause) : cause;
  }
}

/** @throws {ATOLL_TOKEN_REFUSED} */
export function boundToken(token: string): void {
  if (token.length > jwtLimits.tokenBytes) throw refusedToken(`it is longer than ${jwtLimits.tokenBytes} bytes`);
}

/** `reason`: what is wrong with it, without any of it. */
export function refusedToken(reason: string, cause?: unknown): AtollError {
  return new AtollError("ATOLL_TOKEN_REFUSED", `the token is refused: ${reason}`, cause === undefined ? {} : { cause });
}

/** The library's own words name claims and keys, never their values. */
function describeJose(error: InstanceType<typeof errors.JOSEError>, { algorithms }: TokenExpectation): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} does not fit (${error.reason})`;
  if (error instanceof errors.JOSEAlgNotAllowed) return `its algorithm is none of ${algorithms.join(", ")}`;
  if (error instanceof errors.JWKSNoMatchingKey) return "the issuer's keys hold none that it names";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "its signature is not the issuer's";
  return "it is no signed JSON Web Token";
}
