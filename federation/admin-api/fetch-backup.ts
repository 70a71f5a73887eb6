import type { BackupEntry, BackupHead } from "#federation/model/store-backup.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { backupLimits, encodeBackup, type BackupLock } from "#federation/wire/backup-file.ts";
import type { AdminClient } from "./client.ts";
import { storeRoutes } from "./store-routes.ts";

/** A backup as the file that is to be kept, and what it is of. */
export interface FetchedBackup {
  readonly head: BackupHead;
  readonly entries: number;
  readonly file: Uint8Array;
}

/**
 * Has a plane back its store up, and makes the file of it, encrypted where there is a lock.
 * @throws {ATOLL_ADMIN_UNAVAILABLE} when the backup breaks off. @throws {ATOLL_BACKUP_INVALID} beyond the bounds of a backup.
 */
export async function fetchBackup(plane: Pick<AdminClient, "call" | "watch">, lock: BackupLock | undefined, signal: AbortSignal): Promise<FetchedBackup> {
  // What is wrong with the store, or with the caller's rights, is said here; a stream could only break off.
  await plane.call(storeRoutes.backup, {}, signal);
  const entries: BackupEntry[] = [];
  let bytes = 0;
  for await (const event of plane.watch(storeRoutes.backup, {}, signal)) {
    if (event.type === "end") {
      if (event.entries !== entries.length) break;
      const { head } = event;
      return { head, entries: entries.length, file: await encodeBackup({ head, entries }, lock) };
    }
    for (const { key, revision, value } of event.entries) {
      entries.push({ key, revision, value: Buffer.from(value, "base64") });
      bytes += value.length;
      if (bytes > 2 * backupLimits.contentBytesMax) throw new AtollError("ATOLL_BACKUP_INVALID", `the backup cannot be used: it would hold more than ${backupLimits.contentBytesMax} bytes`);
    }
  }
  throw new AtollError("ATOLL_ADMIN_UNAVAILABLE", "the backup broke off before its end: try again");
}
