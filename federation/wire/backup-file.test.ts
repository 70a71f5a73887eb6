import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { StoreBackup } from "#federation/model/store-backup.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { decodeBackup, encodeBackup } from "./backup-file.ts";

const passphrase = "correct horse battery";
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
  it.each([undefined, passphrase])("is read as it was written (passphrase %j)", (secret) => {
    expect(decodeBackup(encodeBackup(backup, secret), secret)).toEqual(backup);
    expect(decodeBackup(encodeBackup({ ...backup, entries: [] }, secret), secret).entries).toEqual([]);
  });

  it("says whose it is to everybody, and what it holds to nobody without its passphrase", () => {
    const text = Buffer.from(encodeBackup(backup, passphrase)).toString("latin1");
    expect(text.split("\n")[0]).toMatch(/"plane":"shop-eu","epoch":7/);
    const plain: StoreBackup = { ...backup, entries: [{ key: "/atoll/v1/a", revision: 1, value: Buffer.from("a very plain text") }] };
    expect(Buffer.from(encodeBackup(plain, passphrase)).includes("plain text")).toBe(false);
    expect(() => decodeBackup(encodeBackup(backup, passphrase))).toThrow(invalid("no passphrase was given"));
    expect(() => decodeBackup(encodeBackup(backup, passphrase), "another passphrase")).toThrow(invalid("another passphrase, or is damaged"));
    expect(() => encodeBackup(backup, "too short")).toThrow(invalid("16 characters at least"));
  });

  it("is encrypted anew each time", () => {
    expect(encodeBackup(backup, passphrase)).not.toEqual(encodeBackup(backup, passphrase));
  });

  it.each([undefined, passphrase])("is refused where any byte is another, or where it is cut off (passphrase %j)", (secret) => {
    const file = encodeBackup(backup, secret);
    // Deriving a key is slow on purpose, so that not every byte is tried there.
    const step = secret === undefined ? 1 : 37;
    for (let at = 0; at < file.length; at += step) expect(() => decodeBackup(changed(file, at), secret), `byte ${at}`).toThrow(expect.objectContaining({ code: "ATOLL_BACKUP_INVALID" }) as Error);
    for (const length of [0, 1, 100, file.length - 33, file.length - 1]) expect(() => decodeBackup(file.slice(0, length), secret), `${length} bytes`).toThrow(expect.objectContaining({ code: "ATOLL_BACKUP_INVALID" }) as Error);
  });

  it("is refused by its version where that is another", () => {
    const file = Buffer.from(encodeBackup(backup)).toString("latin1").replace('"version":1', '"version":2');
    expect(() => decodeBackup(Buffer.from(file, "latin1"))).toThrow(invalid("version 2, and this program reads version 1"));
  });

  it.each([
    ["no compressed content", Buffer.from("not compressed")],
    ["an entry that is cut off", gzipSync(Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 65]))],
    ["a position beyond all", gzipSync(Buffer.alloc(16, 0xff))],
    ["fewer entries than it says", gzipSync(Buffer.alloc(0))],
  ])("is refused where somebody has sealed %s", (_what, content) => {
    const good = Buffer.from(encodeBackup(backup));
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
