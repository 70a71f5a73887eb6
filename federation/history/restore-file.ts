import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { backupLimits, decodeBackup, encodeBackup } from "#federation/wire/backup-file.ts";
import type { Store } from "#federation/store/store.ts";
import { demandBackupOf, restoreStore, type RestoreOptions } from "./restore-store.ts";

export interface RestoreFileOptions extends Pick<RestoreOptions, "dataDir" | "plane" | "clock" | "random" | "logger"> {
  readonly federation: string;
  /** The backup. */
  readonly file: string;
  /** The file of the passphrase that it was encrypted with. */
  readonly passphraseFile?: string | undefined;
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

/** Restores the store of a plane that does not run from a file. @throws {ATOLL_BACKUP_INVALID | ATOLL_RESTORE_REFUSED | ATOLL_STORE_UNAVAILABLE} */
export async function restoreFile(options: RestoreFileOptions, signal: AbortSignal): Promise<Restored> {
  const { dataDir, plane, federation, passphraseFile, checkOnly, clock, random, logger } = options;
  const passphrase = passphraseFile === undefined ? undefined : readPassphrase(passphraseFile);
  const backup = decodeBackup(readBackup(options.file), passphrase);
  demandBackupOf(backup, { federation, plane });
  const { madeAtMs } = backup.head;
  const restored = { madeAtMs, entries: backup.entries.length };
  if (checkOnly) return restored;
  const nowMs = Math.floor(clock.nowMs());
  const aside = join(dataDir, `replaced-${nowMs}.atoll-backup`);
  let isKept = false;
  await using store = await options.openStore();
  const setAside: RestoreOptions["setAside"] = ({ revision, entries }, epoch) => {
    writePrivateFileSync(aside, encodeBackup({ head: { federation, plane, epoch, revision, madeAtMs: nowMs }, entries }, passphrase));
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

function readPassphrase(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new AtollError("ATOLL_BACKUP_INVALID", `the backup cannot be used: the passphrase file ${file} cannot be read: ${describeError(cause)}`, { cause });
  }
}
