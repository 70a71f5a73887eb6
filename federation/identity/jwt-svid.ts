import { createHash, type KeyObject } from "node:crypto";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { isSpiffeId, pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { JwtAuthority, TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { signP256 } from "#federation/runtime/p256-signature.ts";
import { exportSpki, parsePublicKey } from "./key-pair.ts";
import { boundToken, refusedToken, verifyToken } from "./jwt-token.ts";

/** The one algorithm that is signed and taken here; the standard allows eight more. */
const algorithm = "ES256";

/** Whose authority signs, and by which key. */
export interface JwtSigner {
  readonly keyId: string;
  /** P-256. */
  readonly privateKey: KeyObject;
}

/** What a JWT-SVID says. Every field comes from the issuer's own knowledge, but for the audience, which its holder chooses. */
export interface JwtSvidOptions {
  readonly spiffeId: SpiffeId;
  /** Never empty. */
  readonly audience: readonly string[];
  readonly validityMs: number;
  readonly nowMs: number;
}

/** A token of whoever it names, for as long as it holds: a secret. */
export interface JwtSvid {
  readonly token: string;
  /** Wall-clock ms, whole seconds. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** How `publicKey` is named in tokens and bundles: the base64url SHA-256 of its SubjectPublicKeyInfo. */
export function jwtAuthorityOf(publicKey: KeyObject): JwtAuthority {
  const spki = exportSpki(publicKey);
  return { keyId: createHash("sha256").update(spki).digest("base64url"), publicKey: spki };
}

/** Issues a JWT-SVID. @see https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md */
export function signJwtSvid({ keyId, privateKey }: JwtSigner, { spiffeId, audience, validityMs, nowMs }: JwtSvidOptions): JwtSvid {
  const issuedAt = Math.floor(nowMs / 1_000);
  const expires = Math.floor((nowMs + validityMs) / 1_000);
  const input = `${encodePart({ alg: algorithm, kid: keyId, typ: "JWT" })}.${encodePart({ sub: spiffeId, aud: audience, iat: issuedAt, exp: expires })}`;
  const signature = signP256(Buffer.from(input), privateKey);
  return { token: `${input}.${Buffer.from(signature).toString("base64url")}`, issuedAtMs: issuedAt * 1_000, expiresAtMs: expires * 1_000 };
}

/** By what a token is judged. */
export interface JwtSvidExpectation {
  /** Must be among the token's `aud`. */
  readonly audience: string;
  /** Of the trust domain that the token's subject names; undefined where nobody of it is believed. */
  readonly bundleOf: (trustDomain: TrustDomainName) => TrustBundle | undefined;
  readonly clock: Clock;
}

/** Who a token proves its bearer to be. */
export interface VerifiedJwtSvid {
  readonly spiffeId: SpiffeId;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Judges a JWT-SVID strictly: the header says the algorithm, the key and the type and nothing else, each part is written in the one way
 * that base64url has for it, and the key is an authority of the very trust domain that the subject names. Rejects with {ATOLL_TOKEN_REFUSED}.
 */
export async function verifyJwtSvid(token: string, { audience, bundleOf, clock }: JwtSvidExpectation): Promise<VerifiedJwtSvid> {
  boundToken(token);
  const [header, claims] = partsOf(token);
  const keyId = keyIdOf(header);
  const spiffeId = subjectOf(claims);
  const trustDomain = trustDomainOf(spiffeId);
  const bundle = bundleOf(trustDomain);
  if (bundle === undefined) throw refusedToken("no bundle of its subject's trust domain is known");
  const authority = bundle.jwtAuthorities?.find((known) => known.keyId === keyId);
  if (authority === undefined) throw refusedToken("its key is no authority of its subject's trust domain");
  await verifyToken(token, parsePublicKey(authority.publicKey), { algorithms: [algorithm], audience, requiredClaims: ["sub", "aud", "exp"] }, clock);
  return { spiffeId, claims };
}

/** Header and claims, of which nothing is believed yet. */
function partsOf(token: string): readonly [header: Fields, claims: Fields] {
  const parts = token.split(".");
  const [header = "", claims = ""] = parts;
  // Characters that carry spare bits, and padding, would make several texts of one token.
  if (parts.length !== 3 || parts.some((part) => part === "" || Buffer.from(part, "base64url").toString("base64url") !== part)) throw refusedToken("it is no signed JSON Web Token");
  return [fieldsOf(header), fieldsOf(claims)];
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(part: string): Fields {
  try {
    const fields: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) return fields as Fields;
  } catch {
    // Not JSON: said below.
  }
  throw refusedToken("it is no signed JSON Web Token");
}

const headerFields = new Set(["alg", "kid", "typ"]);

/** JWT-SVID, section 2. */
function keyIdOf(header: Fields): string {
  const { alg, kid, typ } = header;
  if (Object.keys(header).some((name) => !headerFields.has(name))) throw refusedToken("its header says more than algorithm, key and type");
  if (alg !== algorithm) throw refusedToken(`its algorithm is not ${algorithm}`);
  if (typ !== undefined && typ !== "JWT" && typ !== "JOSE") throw refusedToken("its type is neither JWT nor JOSE");
  if (typeof kid !== "string" || kid === "") throw refusedToken("it names no key");
  return kid;
}

function subjectOf({ sub }: Fields): SpiffeId {
  if (typeof sub !== "string" || !isSpiffeId(sub) || pathOf(sub) === "") throw refusedToken("its subject is no SPIFFE ID of a workload");
  return sub;
}

function encodePart(fields: object): string {
  return Buffer.from(JSON.stringify(fields)).toString("base64url");
}
