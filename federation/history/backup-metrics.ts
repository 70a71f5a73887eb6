import type { Registry } from "prom-client";
import type { Clock } from "#federation/runtime/clock.ts";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import type { BackupStanding } from "./backup-schedule.ts";

/** What a plane that backs itself up shows of that. */
export function addBackupMetrics(registry: Registry, standing: () => BackupStanding, clock: Clock): void {
  const gauge = (name: string, help: string, read: (now: BackupStanding) => number | undefined): void => {
    addGauge(registry, {
      name,
      help,
      read: (add) => {
        const value = read(standing());
        if (value !== undefined) add({}, value);
      },
    });
  };
  gauge("atoll_backup_age_seconds", "Since the newest backup of this plane's store; where there is none, since one is to be made.", ({ newestAtMs, sinceMs }) => Math.max(0, clock.nowMs() - (newestAtMs ?? sinceMs)) / 1_000);
  gauge("atoll_backup_failing", "1 while a backup is due and cannot be made.", ({ failing }) => (failing === undefined ? 0 : 1));
  gauge("atoll_backups_kept", "Backups of this plane in its directory.", ({ kept }) => kept);
  gauge("atoll_backup_bytes", "Size of the newest backup that this process has made.", ({ newestBytes }) => newestBytes);
  addCounter(registry, { name: "atoll_backup_failures_total", help: "Attempts to make a backup that failed.", read: (add) => add({}, standing().failures) });
}
