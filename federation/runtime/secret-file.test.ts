import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readSecretFile } from "./secret-file.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-secret-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const path = join(directory, "passphrase");
const refused = (message: string) => expect.objectContaining({ code: "ATOLL_KEY_FILE_INVALID", message: expect.stringContaining(message) }) as Error;

it("reads what its owner alone may read, and names what is wrong with the others without a word of what they hold", () => {
  writeFileSync(path, " correct horse battery\n");
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(path, mode);
    expect(() => readSecretFile(path, "the passphrase file")).toThrow(refused(`the passphrase file ${path} cannot be used: others than its owner may use it (mode 0${mode.toString(8)}): chmod 600 ${path}`));
  }
  for (const mode of [0o600, 0o400]) {
    chmodSync(path, mode);
    expect(readSecretFile(path, "the passphrase file")).toBe("correct horse battery");
  }
  chmodSync(path, 0o600);
  writeFileSync(path, "x".repeat(64 * 1024 + 1));
  expect(() => readSecretFile(path, "the passphrase file")).toThrow(refused("larger than"));
  expect(() => readSecretFile(join(directory, "missing"), "the key file")).toThrow(refused("ENOENT"));
});
