import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import { p256SpkiBytes } from "#federation/runtime/p256-signature.ts";

/** A P-256 key pair. The private half leaves the process only as `exportPrivateKeyPem`, into a 0600 file. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Makes a new key pair from the operating system's randomness; about 0.02 ms. */
export function createKeyPair(): KeyPair {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** The private key as PKCS#8 PEM. A secret: never log it. */
export function exportPrivateKeyPem(privateKey: KeyObject): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Reads a P-256 private key in PEM, with its public half. @throws {ATOLL_CERTIFICATE_INVALID} for any other key. */
export function parseKeyPair(privateKeyPem: string): KeyPair {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(privateKeyPem);
  } catch {
    // The cause stays out on purpose: OpenSSL's message may quote the input.
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the private key cannot be read");
  }
  if (!isP256(privateKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the private key is not a P-256 key");
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Reads a SubjectPublicKeyInfo of a P-256 key. @throws {ATOLL_CERTIFICATE_INVALID} for other keys, curves and point forms. */
export function parsePublicKey(spki: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (error) {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the public key cannot be read", { cause: error });
  }
  if (!isP256(key) || spki.length !== p256SpkiBytes) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the public key is not a P-256 key");
  return key;
}

/** True for elliptic keys on the named curve P-256. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
}

/** The public key as DER SubjectPublicKeyInfo. */
export function exportSpki(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: "spki", format: "der" });
}

/** Lower-case hex SHA-256 of the SubjectPublicKeyInfo: how an authority key is pinned. */
export function spkiSha256(publicKey: KeyObject): string {
  return createHash("sha256").update(exportSpki(publicKey)).digest("hex");
}

/** Lower-case hex SHA-256 of `der`: how a root certificate is pinned. */
export function sha256Hex(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}
