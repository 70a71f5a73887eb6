import { readFile, rm } from "node:fs/promises";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { createKeyPair, exportPrivateKeyPem, parseKeyPair, type KeyPair } from "./key-pair.ts";

/**
 * The key of one who joins, from the file at `path` (0600) or made and written there before its first use: over tries and restarts it
 * stays the same, so that they are one use of a token for many, and an attested document stays good for it.
 * @throws {ATOLL_CERTIFICATE_INVALID} when the file holds no key.
 */
export async function keepJoiningKey(path: string): Promise<KeyPair> {
  try {
    return parseKeyPair(await readFile(path, "utf8"));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  const keys = createKeyPair();
  await writePrivateFile(path, exportPrivateKeyPem(keys.privateKey));
  return keys;
}

/** Ends the use of the key at `path`: whoever joins next is another instance. */
export async function forgetJoiningKey(path: string): Promise<void> {
  await rm(path, { force: true });
}
