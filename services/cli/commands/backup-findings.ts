import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import type { Column } from "../table.ts";

type Told = Pick<FederationStatus | ClusterStatus, "backups" | "asOfMs" | "store" | "storeAwaySinceMs">;

/** A backup may be late by as many intervals: one that failed once is there by the next. */
const overdueIntervals = 2;

/** That a plane's backups are not made, and what to do; nothing of one that makes none by itself. */
export function backupProblems(plane: string, { backups, asOfMs, store, storeAwaySinceMs }: Told): readonly string[] {
  if (backups === undefined) return [];
  const { directory, everySeconds, newestAtMs, sinceMs, failing } = backups;
  const ageMs = asOfMs - (newestAtMs ?? sinceMs);
  const newest = newestAtMs === undefined ? "there is none yet" : `the newest is ${describeAge(Math.max(0, ageMs))} old`;
  if (failing !== undefined) return [`no backup of the store of ${plane} can be made in ${directory}: ${failing.reason}; ${newest}, and it is tried again each minute`];
  // Why a store that is behind, or away, is not backed up is said by itself.
  if (store?.state === "behind" || storeAwaySinceMs !== undefined || ageMs <= overdueIntervals * everySeconds * 1_000) return [];
  return [`the backup of the store of ${plane} is overdue: one is made each ${describeAge(everySeconds * 1_000)} in ${directory}, and ${newest}; look at the log of its plane and whether that directory answers, and make one by \`atoll backup ${plane}\` meanwhile`];
}

/** One line of the status for each plane that makes backups. */
export interface BackupLine extends NonNullable<Told["backups"]> {
  readonly plane: string;
  readonly asOfMs: number;
}

export function backupLines(plane: string, { backups, asOfMs }: Told): readonly BackupLine[] {
  return backups === undefined ? [] : [{ plane, asOfMs, ...backups }];
}

export const backupColumns: readonly Column<BackupLine>[] = [
  { title: "BACKUPS OF", value: (row) => row.plane },
  { title: "NEWEST", value: (row) => (row.newestAtMs === undefined ? "none" : `${describeAge(Math.max(0, row.asOfMs - row.newestAtMs))} ago`), align: "right" },
  { title: "EACH", value: (row) => describeAge(row.everySeconds * 1_000), align: "right" },
  { title: "KEPT", value: (row) => String(row.kept), align: "right" },
  { title: "IN", value: (row) => row.directory },
];
