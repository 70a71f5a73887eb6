import { readFile, stat } from "node:fs/promises";
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload } from "jose";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { boundToken, jwtLimits, refusedToken, verifyToken } from "./jwt-token.ts";

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

/** What is asymmetric and in use; a shared secret would let the verifier sign. @see https://www.rfc-editor.org/rfc/rfc8725#section-3.1 */
const algorithms = ["ES256", "RS256"];

/**
 * A verifier of one issuer's tokens. It resolves to the payload of a token that the issuer signed for the audience, that is not over and has a subject.
 * The rejection says what is wrong, never the token. Rejects with {ATOLL_TOKEN_REFUSED}, or {ATOLL_CONFIG_INVALID} when the keys cannot be read.
 */
export function createJwtVerifier(options: JwtIssuer, clock: Clock): (token: string) => Promise<JWTPayload & { readonly sub: string }> {
  const keys = keysOf(options.keysFile);
  return async (token) => {
    boundToken(token);
    const keySet = await keys();
    const expected = {
      algorithms,
      issuer: options.issuer,
      audience: options.audience,
      maxTokenAge: options.maxAgeSeconds ?? jwtLimits.lifeSecondsMax,
      requiredClaims: ["sub", "exp", "iat"],
    };
    const payload = await verifyToken(token, keySet, expected, clock);
    if (typeof payload.sub !== "string" || payload.sub === "") throw refusedToken("it names no subject");
    return { ...payload, sub: payload.sub };
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
