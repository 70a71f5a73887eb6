import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseBackupKey, recipientOf } from "#federation/model/backup-recipient.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import { readSecretFile } from "#federation/runtime/secret-file.ts";
import { backupLimits, decodeBackup, encodeBackup, type BackupLock, type BackupOpener } from "#federation/wire/backup-file.ts";
import type { Store } from "#federation/store/store.ts";
import { demandBackupOf, restoreStore, type RestoreOptions } from "./restore-store.ts";

export interface RestoreFileOptions extends Pick<RestoreOptions, "dataDir" | "plane" | "clock" | "random" | "logger"> {
  readonly federation: string;
  /** The backup. */
  readonly file: string;
  /** The file of the passphrase that it was encrypted with. */
  readonly passphraseFile?: string | undefined;
  /** The file of the key that it was encrypted for. */
  readonly keyFile?: string | undefined;
  /** Only reads the backup and says whether it is one of this plane. */
  readonly checkOnly: boolean;
  /** Asked once the backup is known to be good. */
  readonly openStore: () => Promise<Store>;
}

/** What became of it. */
export interface Restored {
  readonly madeAtMs: number;
  readonly entries: number;
  /** The file that keeps what the store held before; absent where that was nothing. */
  readonly aside?: string;
}

/** Restores the store of a plane that does not run from a file. @throws {ATOLL_BACKUP_INVALID | ATOLL_KEY_FILE_INVALID | ATOLL_RESTORE_REFUSED | ATOLL_STORE_UNAVAILABLE} */
export async function restoreFile(options: RestoreFileOptions, signal: AbortSignal): Promise<Restored> {
  const { dataDir, plane, federation, checkOnly, clock, random, logger } = options;
  const opener = openerOf(options);
  const backup = decodeBackup(readBackup(options.file), opener);
  demandBackupOf(backup, { federation, plane });
  const { madeAtMs } = backup.head;
  const restored = { madeAtMs, entries: backup.entries.length };
  if (checkOnly) return restored;
  const nowMs = Math.floor(clock.nowMs());
  const aside = join(dataDir, `replaced-${nowMs}.atoll-backup`);
  let isKept = false;
  await using store = await options.openStore();
  const setAside: RestoreOptions["setAside"] = async ({ revision, entries }, epoch) => {
    await writePrivateFile(aside, await encodeBackup({ head: { federation, plane, epoch, revision, madeAtMs: nowMs }, entries }, lockOf(opener)));
    isKept = true;
  };
  await restoreStore({ store, dataDir, plane, backup, setAside, clock, random, logger }, signal);
  logger.warn("The store was filled from a backup; the plane asks by `atoll reconcile` before it goes on.", { madeAt: new Date(madeAtMs).toISOString(), entries: restored.entries });
  return { ...restored, ...(isKept ? { aside } : {}) };
}

function readBackup(file: string): Uint8Array {
  try {
    if (statSync(file).size > 2 * backupLimits.contentBytesMax) throw new Error("it is larger than any backup");
    return readFileSync(file);
  } catch (cause) {
    throw new AtollError("ATOLL_BACKUP_INVALID", `the backup cannot be used: ${file} cannot be read: ${describeError(cause)}`, { cause });
  }
}

function openerOf({ passphraseFile, keyFile }: Pick<RestoreFileOptions, "passphraseFile" | "keyFile">): BackupOpener | undefined {
  if (passphraseFile !== undefined && keyFile !== undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "a backup is opened by a passphrase or by a key: give one");
  if (passphraseFile !== undefined) return { kind: "passphrase", passphrase: readSecretFile(passphraseFile, "the passphrase file") };
  return keyFile === undefined ? undefined : { kind: "key", privateKey: parseBackupKey(readSecretFile(keyFile, "the key file"), keyFile) };
}

/** What is opened again by the same. */
function lockOf(opener: BackupOpener | undefined): BackupLock | undefined {
  return opener?.kind === "key" ? { kind: "recipients", recipients: [recipientOf(opener.privateKey)] } : opener;
}
