import { createHmac, createSign, generateKeyPairSync, type KeyObject } from "node:crypto";

/** An issuer of a test: a key made for it, and tokens by hand, so that wrong ones can be made too. */
export interface TestIssuer {
  /** What belongs into its key file. */
  readonly jwks: string;
  sign(claims: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string;
  /** Signed with HMAC by the public key's text: the confusion of algorithms that verifiers have fallen for. */
  signConfused(claims: Readonly<Record<string, unknown>>): string;
}

/** An issuer with a new P-256 or RSA key. */
export function createTestIssuer(algorithm: "ES256" | "RS256" = "ES256", kid = "key-1"): TestIssuer {
  const { publicKey, privateKey } = algorithm === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const jwk = publicKey.export({ format: "jwk" });
  return {
    jwks: JSON.stringify({ keys: [{ ...jwk, kid, alg: algorithm, use: "sig" }] }),
    sign(claims, header = {}) {
      const input = `${encode({ alg: algorithm, typ: "JWT", kid, ...header })}.${encode(claims)}`;
      return `${input}.${signature(input, privateKey, algorithm)}`;
    },
    signConfused(claims) {
      const input = `${encode({ alg: "HS256", typ: "JWT", kid })}.${encode(claims)}`;
      return `${input}.${createHmac("sha256", publicKey.export({ type: "spki", format: "pem" })).update(input).digest("base64url")}`;
    },
  };
}

function signature(input: string, key: KeyObject, algorithm: string): string {
  const signer = createSign("sha256").update(input);
  return (algorithm === "ES256" ? signer.sign({ key, dsaEncoding: "ieee-p1363" }) : signer.sign(key)).toString("base64url");
}

function encode(part: Readonly<Record<string, unknown>>): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}
