import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";

/** Whom a backup is encrypted for: a public X25519 key as text, with a check, so that a mistyped one is refused and not written to for months. */
export type BackupRecipient = string & { readonly [brand]: "BackupRecipient" };
declare const brand: unique symbol;

/** Recipients of one backup; the head that holds a part for each is bounded. */
export const backupRecipientsMax = 8;

/** What a recipient looks like, in the words of an error message. */
export const backupRecipientForm = "atoll-backup: and 48 characters, as `atoll backup-key` prints it";

const prefix = "atoll-backup:";
const publicKeyBytes = 32;
const checkBytes = 4;

/** @throws {ATOLL_NAME_INVALID} for what is none, or was not copied as it was. */
export function parseBackupRecipient(text: string): BackupRecipient {
  if (isBackupRecipient(text)) return text;
  throw new AtollError("ATOLL_NAME_INVALID", `${JSON.stringify(text.slice(0, 80))} is not a recipient of backups: ${backupRecipientForm}`);
}

/** True for what `parseBackupRecipient` accepts. */
export function isBackupRecipient(text: string): text is BackupRecipient {
  if (!text.startsWith(prefix) || !/^[A-Za-z0-9_-]{48}$/.test(text.slice(prefix.length))) return false;
  const bytes = Buffer.from(text.slice(prefix.length), "base64url");
  return checkOf(bytes.subarray(0, publicKeyBytes)).equals(bytes.subarray(publicKeyBytes));
}

/** The public key of a recipient. */
export function keyOfRecipient(recipient: BackupRecipient): KeyObject {
  const x = Buffer.from(recipient.slice(prefix.length), "base64url").subarray(0, publicKeyBytes).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
}

/** Whom backups are encrypted for that `privateKey` opens. Of X25519. */
export function recipientOf(privateKey: KeyObject): BackupRecipient {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  const bytes = Buffer.from(x, "base64url");
  return `${prefix}${Buffer.concat([bytes, checkOf(bytes)]).toString("base64url")}` as BackupRecipient;
}

/** A new key that opens backups: PKCS#8 in PEM, which belongs into a file that nobody else may read, and its recipient. */
export function createBackupKey(): { readonly privateKeyPem: string; readonly recipient: BackupRecipient } {
  const { privateKey } = generateKeyPairSync("x25519");
  return { privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), recipient: recipientOf(privateKey) };
}

/** Reads such a key; `name` says in the error where it came from. @throws {ATOLL_KEY_FILE_INVALID} */
export function parseBackupKey(privateKeyPem: string, name: string): KeyObject {
  let privateKey: KeyObject | undefined;
  try {
    privateKey = createPrivateKey(privateKeyPem);
  } catch {
    // The cause stays out on purpose: OpenSSL's message may quote the input.
  }
  if (privateKey?.asymmetricKeyType === "x25519") return privateKey;
  throw new AtollError("ATOLL_KEY_FILE_INVALID", `${name} is not a key of backups: a PEM file as \`atoll backup-key\` writes it`);
}

function checkOf(publicKey: Uint8Array): Buffer {
  return createHash("sha256").update(prefix).update(publicKey).digest().subarray(0, checkBytes);
}
