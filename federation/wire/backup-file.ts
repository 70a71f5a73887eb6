import { createCipheriv, createDecipheriv, createHash, randomBytes, scrypt, scryptSync, timingSafeEqual, type KeyObject } from "node:crypto";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { createGzip, gunzipSync } from "node:zlib";
import { z } from "zod";
import { backupRecipientsMax, type BackupRecipient } from "#federation/model/backup-recipient.ts";
import type { BackupEntry, StoreBackup } from "#federation/model/store-backup.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { unwrapKey, wrapKey } from "./backup-recipients.ts";

// A backup is a line of JSON that says whose and what it is, the entries, and a trailer that covers both:
//
//   head "\n" | body | trailer
//
//   version  encryption           body                        trailer
//   1        none                 gzip(entries)               SHA-256 of head and body
//   1        scrypt-aes-256-gcm   encrypted by a passphrase   GCM's tag; the head is authenticated with the body
//   2        x25519-aes-256-gcm   encrypted by a key of its   the same
//                                 own, which the head holds
//                                 wrapped for each recipient
//
// entries: for each the position of its write (64 bits, big-endian), the length of its key (32 bits), the key in UTF-8, the length of its
// value, the value.

const format = "atoll-backup";
const versions = [1, 2] as const;

/** What a backup is encrypted with; absent: with nothing. */
export type BackupLock = { readonly kind: "passphrase"; readonly passphrase: string } | { readonly kind: "recipients"; readonly recipients: readonly BackupRecipient[] };

/** What opens one that is encrypted. */
export type BackupOpener = { readonly kind: "passphrase"; readonly passphrase: string } | { readonly kind: "key"; readonly privateKey: KeyObject };

/** Bounds of what is read, and written. */
export const backupLimits = {
  headBytesMax: 4_096,
  /** Of all keys and values together. */
  contentBytesMax: 1024 * 1024 * 1024,
  /** Shortest passphrase: whoever has the file may try as many as they like. */
  passphraseCharactersMin: 16,
} as const;

/** Fixed by the version, so that no file says how much a reader has to work. 32 MiB and about 0.1 s a try. */
const scryptCost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;
const keyBytes = 32;
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const digestBytes = 32;
/** Joined in one go, well below a millisecond, since a plane does it beside its work. */
const sliceBytes = 1024 * 1024;

const count = z.int().min(0);
const nonce = z.base64().length(16);
const headSchema = z.object({
  format: z.literal(format),
  version: z.literal(versions),
  federation: z.string().min(1).max(253),
  plane: z.string().min(1).max(63),
  epoch: count,
  revision: count,
  madeAtMs: count,
  entries: count,
  encryption: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("none") }),
    z.object({ kind: z.literal("scrypt-aes-256-gcm"), salt: z.base64().length(24), nonce }),
    z.object({ kind: z.literal("x25519-aes-256-gcm"), keys: z.array(z.object({ ephemeral: z.base64().length(44), wrapped: z.base64().length(64) })).min(1).max(backupRecipientsMax), nonce }),
  ]),
});

type Head = z.infer<typeof headSchema>;

/**
 * The file of a backup, encrypted where there is a lock. The head can be read by everybody. Holds up the event loop for no longer than a slice
 * of it takes, and at the end than its parts take to be joined. @throws {ATOLL_BACKUP_INVALID} beyond the bounds.
 */
export async function encodeBackup({ head, entries }: StoreBackup, lock?: BackupLock): Promise<Uint8Array> {
  const bytes = entries.reduce((sum, { key, value }) => sum + Buffer.byteLength(key) + value.byteLength + 16, 0);
  if (bytes > backupLimits.contentBytesMax) throw invalid(`it would hold ${bytes} bytes, and ${backupLimits.contentBytesMax} are allowed`);
  const { encryption, key } = await locked(lock);
  const { federation, plane, epoch, revision, madeAtMs } = head;
  const written: Head = { format, version: encryption.kind === "x25519-aes-256-gcm" ? 2 : 1, federation, plane, epoch, revision, madeAtMs, entries: entries.length, encryption };
  const line = Buffer.from(`${JSON.stringify(written)}\n`);
  const seal = encryption.kind === "none" || key === undefined ? sealOpenly(line) : sealBy(key, Buffer.from(encryption.nonce, "base64"), line);
  const parts: Buffer[] = [line];
  // Compressed on another thread, and from there part by part.
  for await (const part of Readable.from(joined(entries)).pipe(createGzip())) parts.push(seal.add(part as Buffer));
  return Buffer.concat([...parts, ...seal.end()]);
}

/** What a body becomes, part by part, and what follows it. */
interface Seal {
  add(part: Buffer): Buffer;
  end(): readonly Buffer[];
}

function sealOpenly(line: Buffer): Seal {
  const hash = createHash("sha256").update(line);
  return {
    add(part) {
      hash.update(part);
      return part;
    },
    end: () => [hash.digest()],
  };
}

function sealBy(key: Buffer, iv: Buffer, line: Buffer): Seal {
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(line);
  return { add: (part) => cipher.update(part), end: () => [cipher.final(), cipher.getAuthTag()] };
}

/** How a file is encrypted, as its head says it, and the key. */
async function locked(lock: BackupLock | undefined): Promise<{ readonly encryption: Head["encryption"]; readonly key?: Buffer }> {
  if (lock === undefined) return { encryption: { kind: "none" } };
  const nonceText = randomBytes(nonceBytes).toString("base64");
  if (lock.kind === "passphrase") {
    const salt = randomBytes(saltBytes);
    const key = await promisify<string, Uint8Array, number, typeof scryptCost, Buffer>(scrypt)(demandPassphrase(lock.passphrase), salt, keyBytes, scryptCost);
    return { encryption: { kind: "scrypt-aes-256-gcm", salt: salt.toString("base64"), nonce: nonceText }, key };
  }
  if (lock.recipients.length === 0 || lock.recipients.length > backupRecipientsMax) throw invalid(`it would have ${lock.recipients.length} recipients, and has 1 to ${backupRecipientsMax}`);
  const key = randomBytes(keyBytes);
  return { encryption: { kind: "x25519-aes-256-gcm", keys: lock.recipients.map((recipient) => wrapKey(key, recipient)), nonce: nonceText }, key };
}

/** Reads such a file. @throws {ATOLL_BACKUP_INVALID} for one that is damaged, of another version, or encrypted with something else than this opens. */
export function decodeBackup(file: Uint8Array, opener?: BackupOpener): StoreBackup {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const { head, line } = readHead(bytes);
  try {
    const content = openBody(bytes.subarray(line.length), { head, line }, opener);
    const entries = splitEntries(gunzipSync(content, { maxOutputLength: backupLimits.contentBytesMax }));
    if (entries.length !== head.entries) throw invalid(`it holds ${entries.length} entries, and says ${head.entries}`);
    const { federation, plane, epoch, revision, madeAtMs } = head;
    return { head: { federation, plane, epoch, revision, madeAtMs }, entries };
  } catch (error) {
    if (isAtollError(error)) throw error;
    throw invalid(`its content cannot be read: ${describeError(error)}`, error);
  }
}

function readHead(bytes: Buffer): { readonly head: Head; readonly line: Buffer } {
  const end = bytes.subarray(0, backupLimits.headBytesMax).indexOf("\n");
  const line = bytes.subarray(0, end + 1);
  let found: unknown;
  try {
    found = JSON.parse(line.toString("utf8"));
  } catch (error) {
    throw invalid("it does not begin as a backup does", error);
  }
  const parsed = headSchema.safeParse(found);
  const saidVersion = z.object({ format: z.literal(format), version: z.int() }).safeParse(found);
  if (saidVersion.success && !(versions as readonly number[]).includes(saidVersion.data.version)) throw invalid(`it is of version ${saidVersion.data.version}, and this program reads version ${versions.join(" and ")}`);
  if (!parsed.success) throw invalid("its head is not that of a backup", parsed.error);
  return { head: parsed.data, line };
}

function openBody(rest: Buffer, { head: { encryption }, line }: { readonly head: Head; readonly line: Buffer }, opener: BackupOpener | undefined): Buffer {
  const trailerBytes = encryption.kind === "none" ? digestBytes : tagBytes;
  if (rest.length < trailerBytes) throw invalid("it is cut off");
  const body = rest.subarray(0, -trailerBytes);
  const trailer = rest.subarray(-trailerBytes);
  if (encryption.kind === "none") {
    if (!timingSafeEqual(digestOf(line, body), trailer)) throw invalid("it is damaged or cut off: its content is not what was written");
    return body;
  }
  const { key, otherwise } = keyOf(encryption, opener);
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(encryption.nonce, "base64"), { authTagLength: tagBytes }).setAAD(line).setAuthTag(trailer);
  try {
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch (error) {
    throw invalid(otherwise, error);
  }
}

/** The key of a file, and what it means when it does not fit. */
function keyOf(encryption: Exclude<Head["encryption"], { readonly kind: "none" }>, opener: BackupOpener | undefined): { readonly key: Buffer; readonly otherwise: string } {
  if (encryption.kind === "scrypt-aes-256-gcm") {
    if (opener?.kind !== "passphrase") throw invalid("it is encrypted with a passphrase, and no passphrase was given: --passphrase-file");
    return { key: scryptSync(demandPassphrase(opener.passphrase), Buffer.from(encryption.salt, "base64"), keyBytes, scryptCost), otherwise: "it was encrypted with another passphrase, or is damaged" };
  }
  if (opener?.kind !== "key") throw invalid("it is encrypted for the owner of a key, and no key was given: --key-file");
  const key = unwrapKey(encryption.keys, opener.privateKey);
  if (key === undefined) throw invalid(`it was encrypted for ${encryption.keys.length === 1 ? "another key" : `${encryption.keys.length} other keys`}, or is damaged`);
  return { key, otherwise: "it is damaged or cut off: its content is not what was written" };
}

function demandPassphrase(passphrase: string): string {
  if (passphrase.length < backupLimits.passphraseCharactersMin) throw invalid(`a passphrase of a backup has ${backupLimits.passphraseCharactersMin} characters at least`);
  return passphrase.normalize("NFC");
}

function digestOf(line: Buffer, body: Buffer): Buffer {
  return createHash("sha256").update(line).update(body).digest();
}

/** The entries as they are written, some in each part. */
function* joined(entries: readonly BackupEntry[]): Generator<Buffer> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (const { key, revision, value } of entries) {
    const name = Buffer.from(key);
    const position = Buffer.alloc(8);
    position.writeBigUInt64BE(BigInt(revision));
    parts.push(position, lengthOf(name), name, lengthOf(value), value);
    bytes += name.length + value.byteLength;
    if (bytes < sliceBytes) continue;
    yield Buffer.concat(parts);
    parts = [];
    bytes = 0;
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

function splitEntries(content: Buffer): readonly BackupEntry[] {
  const entries: BackupEntry[] = [];
  let at = 0;
  const next = (): Buffer => {
    const length = content.readUInt32BE(at);
    const end = at + 4 + length;
    if (end > content.length) throw new RangeError("an entry is longer than what is left");
    const part = content.subarray(at + 4, end);
    at = end;
    return part;
  };
  while (at < content.length) {
    const revision = Number(content.readBigUInt64BE(at));
    if (!Number.isSafeInteger(revision)) throw new RangeError("a position is larger than any");
    at += 8;
    entries.push({ revision, key: next().toString("utf8"), value: new Uint8Array(next()) });
  }
  return entries;
}

function lengthOf(part: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(part.byteLength);
  return length;
}

function invalid(detail: string, cause?: unknown): AtollError {
  return new AtollError("ATOLL_BACKUP_INVALID", `the backup cannot be used: ${detail}`, cause === undefined ? {} : { cause });
}
