import { createCipheriv, createDecipheriv, createHash, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";
import type { BackupEntry, StoreBackup } from "#federation/model/store-backup.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";

// A backup is a line of JSON that says whose and what it is, the entries, and a trailer that covers both:
//
//   head "\n" | body | trailer        encryption none:                body = gzip(entries), trailer = SHA-256
//                                     encryption scrypt-aes-256-gcm:  body is encrypted, the head is authenticated with it, trailer = GCM's tag
//
// entries: for each the position of its write (64 bits, big-endian), the length of its key (32 bits), the key in UTF-8, the length of its
// value, the value.

const format = "atoll-backup";
const version = 1;

/** Bounds of what is read, and written. */
export const backupLimits = {
  headBytesMax: 4_096,
  /** Of all keys and values together. */
  contentBytesMax: 1024 * 1024 * 1024,
  /** Shortest passphrase: whoever has the file may try as many as they like. */
  passphraseCharactersMin: 16,
} as const;

/** Fixed by the version, so that no file says how much a reader has to work. 32 MiB and about 0.1 s a try. */
const scrypt = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;
const keyBytes = 32;
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const digestBytes = 32;

const count = z.int().min(0);
const headSchema = z.object({
  format: z.literal(format),
  version: z.int(),
  federation: z.string().min(1).max(253),
  plane: z.string().min(1).max(63),
  epoch: count,
  revision: count,
  madeAtMs: count,
  entries: count,
  encryption: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("none") }),
    z.object({ kind: z.literal("scrypt-aes-256-gcm"), salt: z.base64().length(24), nonce: z.base64().length(16) }),
  ]),
});

type Head = z.infer<typeof headSchema>;

/** The file of a backup, encrypted where there is a passphrase. The head can be read by everybody. @throws {ATOLL_BACKUP_INVALID} beyond the bounds. */
export function encodeBackup({ head, entries }: StoreBackup, passphrase?: string): Uint8Array {
  const content = gzipSync(joinEntries(entries));
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const { federation, plane, epoch, revision, madeAtMs } = head;
  const encryption: Head["encryption"] = passphrase === undefined ? { kind: "none" } : { kind: "scrypt-aes-256-gcm", salt: salt.toString("base64"), nonce: nonce.toString("base64") };
  const written: Head = { format, version, federation, plane, epoch, revision, madeAtMs, entries: entries.length, encryption };
  const line = Buffer.from(`${JSON.stringify(written)}\n`);
  if (passphrase === undefined) return Buffer.concat([line, content, digestOf(line, content)]);
  const cipher = createCipheriv("aes-256-gcm", keyOf(passphrase, salt), nonce).setAAD(line);
  return Buffer.concat([line, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** Reads such a file. @throws {ATOLL_BACKUP_INVALID} for one that is damaged, of another version, or encrypted with another passphrase than this. */
export function decodeBackup(file: Uint8Array, passphrase?: string): StoreBackup {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const { head, line } = readHead(bytes);
  try {
    const content = openBody(bytes.subarray(line.length), { head, line }, passphrase);
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
  if (saidVersion.success && saidVersion.data.version !== version) throw invalid(`it is of version ${saidVersion.data.version}, and this program reads version ${version}`);
  if (!parsed.success) throw invalid("its head is not that of a backup", parsed.error);
  return { head: parsed.data, line };
}

function openBody(rest: Buffer, { head: { encryption }, line }: { readonly head: Head; readonly line: Buffer }, passphrase: string | undefined): Buffer {
  const trailerBytes = encryption.kind === "none" ? digestBytes : tagBytes;
  if (rest.length < trailerBytes) throw invalid("it is cut off");
  const body = rest.subarray(0, -trailerBytes);
  const trailer = rest.subarray(-trailerBytes);
  if (encryption.kind === "none") {
    if (!timingSafeEqual(digestOf(line, body), trailer)) throw invalid("it is damaged or cut off: its content is not what was written");
    return body;
  }
  if (passphrase === undefined) throw invalid("it is encrypted, and no passphrase was given: --passphrase-file");
  const key = keyOf(passphrase, Buffer.from(encryption.salt, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(encryption.nonce, "base64"), { authTagLength: tagBytes }).setAAD(line).setAuthTag(trailer);
  try {
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch (error) {
    throw invalid("it was encrypted with another passphrase, or is damaged", error);
  }
}

function keyOf(passphrase: string, salt: Uint8Array): Buffer {
  if (passphrase.length < backupLimits.passphraseCharactersMin) throw invalid(`a passphrase of a backup has ${backupLimits.passphraseCharactersMin} characters at least`);
  return scryptSync(passphrase.normalize("NFC"), salt, keyBytes, scrypt);
}

function digestOf(line: Buffer, body: Buffer): Buffer {
  return createHash("sha256").update(line).update(body).digest();
}

function joinEntries(entries: readonly BackupEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (const { key, revision, value } of entries) {
    const name = Buffer.from(key);
    const position = Buffer.alloc(8);
    position.writeBigUInt64BE(BigInt(revision));
    parts.push(position, lengthOf(name), name, lengthOf(value), value);
    bytes += name.length + value.byteLength + 16;
  }
  if (bytes > backupLimits.contentBytesMax) throw invalid(`it would hold ${bytes} bytes, and ${backupLimits.contentBytesMax} are allowed`);
  return Buffer.concat(parts);
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
