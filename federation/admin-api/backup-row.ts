import type { FederationStatus } from "./status.ts";

/** How a plane's backups stand, as its status says it. */
export type BackupRow = NonNullable<FederationStatus["backups"]>;

/** The same of one that makes them; nothing of one that does not. */
export function backupsField(standing: BackupRow | undefined): Pick<FederationStatus, "backups"> {
  if (standing === undefined) return {};
  const { directory, everySeconds, kept, newestAtMs, sinceMs, failing } = standing;
  return { backups: { directory, everySeconds, kept, sinceMs, ...(newestAtMs === undefined ? {} : { newestAtMs }), ...(failing === undefined ? {} : { failing: { ...failing } }) } };
}
