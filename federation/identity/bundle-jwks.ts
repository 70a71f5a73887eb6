import { createPublicKey } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { jwtAuthoritiesMax, jwtKeyIdLengthMax, type JwtAuthority, type TrustBundle } from "#federation/model/trust-bundle.ts";
import { isSpiffeId, pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import { parseX509 } from "./authority.ts";
import { isAuthority, readCertificate, readUriNames } from "./certificate-reader.ts";
import { exportSpki, parsePublicKey } from "./key-pair.ts";

/** Largest bundle document that is read, in bytes. A root takes about 1 KiB, a JWT authority 300 bytes with the longest key id. */
export const bundleLengthBytesMax = 512 * 1024;

/** Most keys in one bundle document, of any use: 64 roots beside the JWT authorities. */
export const bundleKeysMax = 64 + jwtAuthoritiesMax;

const refreshHintSecondsDefault = 300;
const refreshHintSecondsMax = 7 * 24 * 3600;

/**
 * A bundle as a SPIFFE bundle document (JWKS).
 * @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md
 */
export function encodeBundle(bundle: TrustBundle): string {
  return JSON.stringify({
    keys: [
      ...bundle.x509Authorities.map((der) => ({
        use: "x509-svid",
        ...parseX509(der).publicKey.export({ format: "jwk" }),
        x5c: [Buffer.from(der).toString("base64")],
      })),
      ...jwtKeysOf(bundle),
    ],
    spiffe_sequence: bundle.sequence,
    spiffe_refresh_hint: bundle.refreshHintSeconds,
  });
}

/** The JWT authorities of a bundle alone, as a document of the same kind: the Workload API's form, whose readers take every key in it for one. */
export function encodeJwtBundle(bundle: TrustBundle): string {
  return JSON.stringify({ keys: jwtKeysOf(bundle) });
}

function jwtKeysOf({ jwtAuthorities = [] }: TrustBundle): readonly object[] {
  return jwtAuthorities.map(({ keyId, publicKey }) => ({ use: "jwt-svid", kid: keyId, ...parsePublicKey(publicKey).export({ format: "jwk" }) }));
}

/**
 * Reads a SPIFFE bundle document as the bundle of `trustDomain`, which comes from configuration and never from the document.
 * Keys of another use, without a certificate or a key id, or of an unknown type are passed over; duplicates count once. A certificate that
 * is no authority, or that names another trust domain, refuses the whole document, and so does a key id of two keys. `x509Authorities` may
 * come out empty, which `acceptBundle` refuses.
 * @throws {ATOLL_BUNDLE_INVALID}
 */
export function parseBundle(text: string, trustDomain: TrustDomainName): TrustBundle {
  if (Buffer.byteLength(text) > bundleLengthBytesMax) throw invalid(`a bundle exceeds ${bundleLengthBytesMax} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new AtollError("ATOLL_BUNDLE_INVALID", "the bundle is not JSON", { cause: error });
  }
  return readBundle(document, trustDomain);
}

function readBundle(document: unknown, trustDomain: TrustDomainName): TrustBundle {
  if (!isRecord(document) || !Array.isArray(document["keys"])) throw invalid("a bundle has a list of keys");
  const keys: readonly unknown[] = document["keys"];
  if (keys.length > bundleKeysMax) throw invalid(`a bundle has at most ${bundleKeysMax} keys`);
  const found = new Map<string, Buffer>();
  const jwtAuthorities = new Map<string, JwtAuthority>();
  keys.forEach((key, index) => {
    const der = readAuthority(key, index, trustDomain);
    if (der !== undefined) found.set(der.toString("base64"), der);
    const jwt = readJwtAuthority(key, index);
    if (jwt === undefined) return;
    const other = jwtAuthorities.get(jwt.keyId);
    if (other !== undefined && Buffer.compare(other.publicKey, jwt.publicKey) !== 0) throw invalid(`key ${index} has the key id of another`);
    jwtAuthorities.set(jwt.keyId, jwt);
  });
  return {
    trustDomain,
    sequence: wholeNumber(document["spiffe_sequence"], "spiffe_sequence", 0),
    refreshHintSeconds: Math.min(wholeNumber(document["spiffe_refresh_hint"], "spiffe_refresh_hint", refreshHintSecondsDefault), refreshHintSecondsMax),
    x509Authorities: [...found.values()],
    ...(jwtAuthorities.size === 0 ? {} : { jwtAuthorities: [...jwtAuthorities.values()] }),
  };
}

function readJwtAuthority(key: unknown, index: number): JwtAuthority | undefined {
  if (!isRecord(key) || key["use"] !== "jwt-svid" || key["kty"] !== "EC" || key["crv"] !== "P-256") return undefined;
  const { kid, x, y } = key;
  if (typeof kid !== "string" || kid === "") return undefined;
  if (typeof x !== "string" || typeof y !== "string") throw invalid(`key ${index} is no point of its curve`);
  if (kid.length > jwtKeyIdLengthMax) throw invalid(`the key id of key ${index} is longer than ${jwtKeyIdLengthMax} characters`);
  try {
    return { keyId: kid, publicKey: exportSpki(createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" })) };
  } catch (error) {
    throw new AtollError("ATOLL_BUNDLE_INVALID", `key ${index} is no point of its curve`, { cause: error });
  }
}

function readAuthority(key: unknown, index: number, trustDomain: TrustDomainName): Buffer | undefined {
  if (!isRecord(key) || key["use"] !== "x509-svid" || !["EC", "RSA"].includes(String(key["kty"]))) return undefined;
  const chain = key["x5c"];
  // The specification: an entry without x5c is ignored, and all but the first certificate are.
  const first: unknown = Array.isArray(chain) ? chain[0] : undefined;
  if (first === undefined) return undefined;
  if (typeof first !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(first)) throw invalid(`key ${index} has a certificate that is not base64`);
  const der = Buffer.from(first, "base64");
  try {
    parseX509(der);
    const fields = readCertificate(der);
    if (!isAuthority(fields)) throw invalid(`the certificate of key ${index} is not an authority`);
    for (const name of readUriNames(fields)) {
      const id = name.toString("latin1");
      if (!isSpiffeId(id) || pathOf(id) !== "" || trustDomainOf(id) !== trustDomain) throw invalid(`the certificate of key ${index} belongs to another trust domain`);
    }
  } catch (error) {
    throw error instanceof AtollError && error.code === "ATOLL_BUNDLE_INVALID" ? error : new AtollError("ATOLL_BUNDLE_INVALID", `the certificate of key ${index} cannot be read`, { cause: error });
  }
  return der;
}

function wholeNumber(value: unknown, name: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw invalid(`${name} is not a whole number`);
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_BUNDLE_INVALID", message);
}
