import { generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import { createBackupKey, isBackupRecipient, keyOfRecipient, parseBackupKey, parseBackupRecipient, recipientOf } from "./backup-recipient.ts";

it("says of a key whom backups are encrypted for, and is read as it was written", () => {
  const { privateKeyPem, recipient } = createBackupKey();
  expect(recipient).toMatch(/^atoll-backup:[A-Za-z0-9_-]{48}$/);
  const privateKey = parseBackupKey(privateKeyPem, "the key");
  expect(recipientOf(privateKey)).toBe(parseBackupRecipient(recipient));
  expect(keyOfRecipient(recipient).export({ format: "jwk" })).toMatchObject({ kty: "OKP", crv: "X25519" });
  expect(createBackupKey().recipient).not.toBe(recipient);
});

it("is refused when a character of it is another, or missing", () => {
  const { recipient } = createBackupKey();
  expect(isBackupRecipient(recipient)).toBe(true);
  for (let at = 0; at < recipient.length; at++) {
    const other = recipient[at] === "A" ? "B" : "A";
    const mistyped = recipient.slice(0, at) + other + recipient.slice(at + 1);
    expect(isBackupRecipient(mistyped), mistyped).toBe(false);
    expect(isBackupRecipient(recipient.slice(0, at) + recipient.slice(at + 1))).toBe(false);
  }
  expect(() => parseBackupRecipient("age1xyz")).toThrow(expect.objectContaining({ code: "ATOLL_NAME_INVALID" }) as Error);
});

it("takes no other kind of key, and says nothing of what it was given", () => {
  const other = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  for (const text of [other, "a secret that is no key", ""]) {
    expect(() => parseBackupKey(text, "backup.key")).toThrow(expect.objectContaining({ code: "ATOLL_KEY_FILE_INVALID", message: "backup.key is not a key of backups: a PEM file as `atoll backup-key` writes it" }) as Error);
  }
});
