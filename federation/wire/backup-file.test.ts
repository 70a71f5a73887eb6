import { createHash, createPrivateKey, randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { createBackupKey } from "#federation/model/backup-recipient.ts";
import type { StoreBackup } from "#federation/model/store-backup.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { decodeBackup, encodeBackup, type BackupLock, type BackupOpener } from "./backup-file.ts";

const phrase = { kind: "passphrase", passphrase: "correct horse battery" } as const;
const [first, second, stranger] = [createBackupKey(), createBackupKey(), createBackupKey()];
const openerOf = ({ privateKeyPem }: { readonly privateKeyPem: string }): BackupOpener => ({ kind: "key", privateKey: createPrivateKey(privateKeyPem) });
const forBoth: BackupLock = { kind: "recipients", recipients: [first.recipient, second.recipient] };

const ways: readonly { readonly how: string; readonly lock?: BackupLock; readonly opener?: BackupOpener; readonly version: number }[] = [
  { how: "not encrypted", version: 1 },
  { how: "with a passphrase", lock: phrase, opener: phrase, version: 1 },
  { how: "for a recipient", lock: { kind: "recipients", recipients: [first.recipient] }, opener: openerOf(first), version: 2 },
  { how: "for the second of two recipients", lock: forBoth, opener: openerOf(second), version: 2 },
];

const backup: StoreBackup = {
  head: { federation: "small.atoll", plane: "shop-eu", epoch: 7, revision: 2 ** 40, madeAtMs: 1_795_000_000_000 },
  entries: [
    { key: "/atoll/v1/meta/epoch", revision: 3, value: new TextEncoder().encode("{}") },
    { key: "/atoll/v1/objects/größer", revision: 2 ** 40, value: new Uint8Array(70_000).fill(7) },
    { key: "/atoll/v1/objects/empty", revision: 4, value: new Uint8Array() },
  ],
};
const invalid = (message: string) => expect.objectContaining({ code: "ATOLL_BACKUP_INVALID", message: expect.stringContaining(message) }) as Error;
const changed = (file: Uint8Array, at: number): Uint8Array => file.map((byte, index) => (index === at ? byte ^ 1 : byte));

describe("the file of a backup", () => {
  it.each(ways)("is read as it was written ($how)", async ({ lock, opener, version }) => {
    const file = await encodeBackup(backup, lock);
    expect(Buffer.from(file).toString("latin1")).toMatch(new RegExp(`^{"format":"atoll-backup","version":${version},`));
    expect(decodeBackup(file, opener)).toEqual(backup);
    expect(decodeBackup(await encodeBackup({ ...backup, entries: [] }, lock), opener).entries).toEqual([]);
  });

  it("is read as it was written where it is larger than what is encrypted in one go", async () => {
    const value = randomBytes(2.5 * 1024 * 1024);
    for (const { lock, opener } of ways) {
      const { entries } = decodeBackup(await encodeBackup({ ...backup, entries: [{ key: "/atoll/v1/large", revision: 9, value }] }, lock), opener);
      expect(value.equals(entries[0]?.value ?? new Uint8Array())).toBe(true);
    }
  });

  it("says whose it is to everybody, and what it holds to nobody without what it was encrypted with", async () => {
    const plain: StoreBackup = { ...backup, entries: [{ key: "/atoll/v1/a", revision: 1, value: Buffer.from("a very plain text") }] };
    for (const lock of [phrase, forBoth]) {
      expect(Buffer.from(await encodeBackup(backup, lock)).toString("latin1").split("\n")[0]).toMatch(/"plane":"shop-eu","epoch":7/);
      expect(Buffer.from(await encodeBackup(plain, lock)).includes("plain text")).toBe(false);
    }
    const [ofPhrase, ofKeys] = [await encodeBackup(backup, phrase), await encodeBackup(backup, forBoth)];
    expect(() => decodeBackup(ofPhrase)).toThrow(invalid("no passphrase was given"));
    expect(() => decodeBackup(ofPhrase, openerOf(first))).toThrow(invalid("no passphrase was given"));
    expect(() => decodeBackup(ofPhrase, { kind: "passphrase", passphrase: "another passphrase" })).toThrow(invalid("another passphrase, or is damaged"));
    expect(() => decodeBackup(ofKeys)).toThrow(invalid("no key was given: --key-file"));
    expect(() => decodeBackup(ofKeys, phrase)).toThrow(invalid("no key was given: --key-file"));
    expect(() => decodeBackup(ofKeys, openerOf(stranger))).toThrow(invalid("encrypted for 2 other keys, or is damaged"));
    await expect(encodeBackup(backup, { kind: "passphrase", passphrase: "too short" })).rejects.toThrow(invalid("16 characters at least"));
    for (const count of [0, 9]) await expect(encodeBackup(backup, { kind: "recipients", recipients: Array.from({ length: count }, () => first.recipient) })).rejects.toThrow(invalid("1 to 8"));
  });

  it.each(ways.filter(({ lock }) => lock !== undefined))("is encrypted anew each time ($how)", async ({ lock }) => {
    expect(await encodeBackup(backup, lock)).not.toEqual(await encodeBackup(backup, lock));
  });

  it.each(ways)("is refused where any byte is another, or where it is cut off ($how)", async ({ lock, opener }) => {
    const file = await encodeBackup(backup, lock);
    // Having a key takes its time, of a passphrase on purpose, so that not every byte is tried there.
    const step = lock === undefined ? 1 : lock.kind === "passphrase" ? 37 : 3;
    for (let at = 0; at < file.length; at += step) {
      // The part of another recipient is of no matter to this one, but authenticated with the rest.
      expect(() => decodeBackup(changed(file, at), opener), `byte ${at}`).toThrow(expect.objectContaining({ code: "ATOLL_BACKUP_INVALID" }) as Error);
    }
    for (const length of [0, 1, 100, file.length - 33, file.length - 1]) expect(() => decodeBackup(file.slice(0, length), opener), `${length} bytes`).toThrow(expect.objectContaining({ code: "ATOLL_BACKUP_INVALID" }) as Error);
  });

  it("is refused where the key of the file was wrapped with a point of small order, from which anybody could have it", async () => {
    const file = Buffer.from(await encodeBackup(backup, { kind: "recipients", recipients: [first.recipient] })).toString("latin1");
    const zero = Buffer.alloc(32).toString("base64");
    expect(() => decodeBackup(Buffer.from(file.replace(/"ephemeral":"[^"]+"/, `"ephemeral":"${zero}"`), "latin1"), openerOf(first))).toThrow(invalid("another key, or is damaged"));
  });

  it("is refused by its version where that is another", async () => {
    const file = Buffer.from(await encodeBackup(backup)).toString("latin1").replace('"version":1', '"version":3');
    expect(() => decodeBackup(Buffer.from(file, "latin1"))).toThrow(invalid("version 3, and this program reads version 1 and 2"));
  });

  it.each([
    ["no compressed content", Buffer.from("not compressed")],
    ["an entry that is cut off", gzipSync(Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 65]))],
    ["a position beyond all", gzipSync(Buffer.alloc(16, 0xff))],
    ["fewer entries than it says", gzipSync(Buffer.alloc(0))],
  ])("is refused where somebody has sealed %s", async (_what, content) => {
    const good = Buffer.from(await encodeBackup(backup));
    const line = good.subarray(0, good.indexOf("\n") + 1);
    const digest = createHash("sha256").update(line).update(content).digest();
    expect(() => decodeBackup(Buffer.concat([line, content, digest]))).toThrow(expect.objectContaining({ code: "ATOLL_BACKUP_INVALID" }) as Error);
  });

  it("throws nothing but its own error for other files", () => {
    for (const text of ["", "{}\n", "null\n", '{"format":"atoll-backup","version":1}\n', "x".repeat(10_000)]) {
      try {
        decodeBackup(Buffer.from(text));
        expect.unreachable();
      } catch (error) {
        expect(isAtollError(error, "ATOLL_BACKUP_INVALID")).toBe(true);
      }
    }
  });
});
