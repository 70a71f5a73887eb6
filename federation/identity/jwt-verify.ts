import { readFile, stat } from "node:fs/promises";
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from "jose";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";

/** Whose tokens are taken, and by which keys. */
export interface JwtIssuer {
  /** The exact `iss`. */
  readonly issuer: string;
  /** Must be among the token's `aud`. */
  readonly audience: string;
  /** A JSON Web Key Set of public keys; read again when the file changes. @see https://www.rfc-editor.org/rfc/rfc7517 */
  readonly keysFile: string;
  /** Since `iat`, at most; `jwtLimits.lifeSecondsMax` unless told. */
  readonly maxAgeSeconds?: number;
}

/** Bounds of a token and of the keys that it is held against. */
export const jwtLimits = {
  tokenBytes: 16 * 1024,
  keysBytes: 256 * 1024,
  /** Between two clocks, either way. */
  leewaySeconds: 60,
  /** A token that says it is older has been kept, whatever its `exp` says. */
  lifeSecondsMax: 86_400,
} as const;

/** What is asymmetric and in use; a shared secret would let the verifier sign. @see https://www.rfc-editor.org/rfc/rfc8725#section-3.1 */
const algorithms = ["ES256", "RS256"];

/**
 * A verifier of one issuer's tokens. It resolves to the payload of a token that the issuer signed for the audience, that is not over and has a subject.
 * The rejection says what is wrong, never the token. Rejects with {ATOLL_TOKEN_REFUSED}, or {ATOLL_CONFIG_INVALID} when the keys cannot be read.
 */
export function createJwtVerifier(options: JwtIssuer, clock: Clock): (token: string) => Promise<JWTPayload & { readonly sub: string }> {
  const keys = keysOf(options.keysFile);
  return async (token) => {
    if (token.length > jwtLimits.tokenBytes) throw refused(`it is longer than ${jwtLimits.tokenBytes} bytes`);
    const keySet = await keys();
    try {
      const { payload } = await jwtVerify(token, keySet, {
        algorithms,
        issuer: options.issuer,
        audience: options.audience,
        clockTolerance: jwtLimits.leewaySeconds,
        currentDate: new Date(clock.nowMs()),
        maxTokenAge: options.maxAgeSeconds ?? jwtLimits.lifeSecondsMax,
        requiredClaims: ["sub", "exp", "iat"],
      });
      if (typeof payload.sub !== "string" || payload.sub === "") throw refused("it names no subject");
      return { ...payload, sub: payload.sub };
    } catch (cause) {
      throw cause instanceof errors.JOSEError ? refused(describeJose(cause), cause) : cause;
    }
  };
}

/** The key set of a file, read again when the file is another. */
function keysOf(path: string): () => Promise<ReturnType<typeof createLocalJWKSet>> {
  let held: { readonly mark: string; readonly keys: ReturnType<typeof createLocalJWKSet> } | undefined;
  return async () => {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const mark = `${mtimeMs} ${size} ${ino}`;
      if (held?.mark !== mark) {
        if (size > jwtLimits.keysBytes) throw new RangeError(`it is larger than ${jwtLimits.keysBytes} bytes`);
        held = { mark, keys: createLocalJWKSet(JSON.parse(await readFile(path, "utf8")) as JSONWebKeySet) };
      }
      return held.keys;
    } catch (cause) {
      throw new AtollError("ATOLL_CONFIG_INVALID", `the keys of tokens in ${path} cannot be used: ${describeError(cause)}`, { cause });
    }
  };
}

function refused(reason: string, cause?: unknown): AtollError {
  return new AtollError("ATOLL_TOKEN_REFUSED", `the token is refused: ${reason}`, cause === undefined ? {} : { cause });
}

/** The library's own words name claims and keys, never their values. */
function describeJose(error: InstanceType<typeof errors.JOSEError>): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} does not fit (${error.reason})`;
  if (error instanceof errors.JOSEAlgNotAllowed) return `its algorithm is none of ${algorithms.join(", ")}`;
  if (error instanceof errors.JWKSNoMatchingKey) return "the issuer's keys hold none that it names";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "its signature is not the issuer's";
  return "it is no signed JSON Web Token";
}
