import type { BackupHead } from "#federation/model/store-backup.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { readSecretFile } from "#federation/runtime/secret-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { encodeBackup, type BackupLock } from "#federation/wire/backup-file.ts";
import { backupDirectory, type BackupConfig } from "./backup-config.ts";
import { BackupDirectory } from "./backup-directory.ts";
import type { StoreCopy } from "./store-copy.ts";

export interface BackupScheduleOptions extends Pick<BackupHead, "federation" | "plane"> {
  readonly config: BackupConfig;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How a plane's backups stand. Times are wall-clock ms. */
export interface BackupStanding {
  readonly directory: string;
  readonly everySeconds: number;
  /** How many are there. */
  readonly kept: number;
  /** When the newest was made; absent: there is none. */
  readonly newestAtMs?: number;
  /** Since when this process has been to make them. */
  readonly sinceMs: number;
  /** Since when one is due and cannot be made, and why. */
  readonly failing?: { readonly sinceMs: number; readonly reason: string };
  /** Of the newest that this process has made. */
  readonly newestBytes?: number;
  /** Attempts of this process that failed. */
  readonly failures: number;
}

/** What is backed up, for as long as a plane leads over a store that is sound. */
export interface BackedUpStore {
  readonly epoch: number;
  readonly copy: (signal: AbortSignal) => Promise<StoreCopy>;
}

/** Between attempts when one failed. */
const retryMs = 60_000;
/** How long one waits at a time: a wall clock that was set, or a machine that slept, is noticed then. */
const lookMsMax = 60_000;

/**
 * Backs a plane's store up by itself: one that is due is encrypted, put into the directory and read again, and the oldest beyond what is to be
 * kept go. It outlives terms; a process that takes over goes by what lies in its directory.
 */
export class BackupSchedule {
  readonly #options: BackupScheduleOptions;
  readonly #directory: BackupDirectory;
  #standing: BackupStanding;
  /** Monotonic ms of the last attempt that failed. */
  #failedAtMs: number | undefined;

  constructor(options: BackupScheduleOptions) {
    const { config, dataDir, plane, clock } = options;
    this.#options = options;
    this.#directory = new BackupDirectory(backupDirectory(config, dataDir), plane);
    this.#standing = { directory: this.#directory.path, everySeconds: config.everySeconds, kept: 0, sinceMs: Math.floor(clock.nowMs()), failures: 0 };
  }

  get standing(): BackupStanding {
    return this.#standing;
  }

  /** Makes them until `signal` aborts; one that cannot be made is tried again each minute, said once in the log, and stands in `standing`. */
  async run(store: BackedUpStore, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await this.#attempt(() => this.#look());
    for (;;) {
      const waitMs = this.#dueInMs();
      if (waitMs > 0) await sleep(clock, Math.min(waitMs, lookMsMax), signal);
      else await this.#attempt(() => this.#make(store, signal), signal);
    }
  }

  /** 0 or below: now. */
  #dueInMs(): number {
    const { clock, config } = this.#options;
    const { newestAtMs } = this.#standing;
    const dueMs = newestAtMs === undefined ? 0 : newestAtMs + config.everySeconds * 1_000 - clock.nowMs();
    const retriedMs = this.#failedAtMs === undefined ? 0 : this.#failedAtMs + retryMs - clock.monotonicMs();
    return Math.max(dueMs, retriedMs);
  }

  async #attempt(work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    try {
      await work();
    } catch (error) {
      if (signal?.aborted === true) throw error;
      this.#failedAtMs = clock.monotonicMs();
      const reason = `${describeError(error)}${adviceFor(error)}`;
      if (this.#standing.failing === undefined) logger.error("A backup that is due cannot be made; it is tried again each minute.", { directory: this.#directory.path, reason });
      this.#standing = { ...this.#standing, failures: this.#standing.failures + 1, failing: { sinceMs: this.#standing.failing?.sinceMs ?? Math.floor(clock.nowMs()), reason } };
    }
  }

  /** What lies there from before. */
  async #look(): Promise<void> {
    const times = await this.#directory.times();
    // A time to come is that of a clock that was wrong.
    const newestAtMs = times.find((time) => time <= this.#options.clock.nowMs());
    const { newestAtMs: _before, ...standing } = this.#standing;
    this.#standing = { ...standing, kept: times.length, ...(newestAtMs === undefined ? {} : { newestAtMs }) };
  }

  async #make(store: BackedUpStore, signal: AbortSignal): Promise<void> {
    const { federation, plane, config, clock, logger } = this.#options;
    const lock = lockOf(config);
    const { revision, entries } = await store.copy(signal);
    const madeAtMs = Math.floor(clock.nowMs());
    const file = await encodeBackup({ head: { federation, plane, epoch: store.epoch, revision, madeAtMs }, entries }, lock);
    signal.throwIfAborted();
    await this.#directory.add(file, madeAtMs);
    const { failing, ...standing } = this.#standing;
    this.#standing = { ...standing, newestAtMs: madeAtMs, newestBytes: file.byteLength, kept: standing.kept + 1 };
    const kept = await this.#directory.prune(config.keep, madeAtMs);
    this.#standing = { ...this.#standing, kept };
    if (failing !== undefined) logger.info("Backups are made again.", { directory: this.#directory.path });
  }
}

/** @throws {ATOLL_KEY_FILE_INVALID} */
function lockOf({ recipients, passphraseFile }: BackupConfig): BackupLock {
  return passphraseFile === undefined ? { kind: "recipients", recipients } : { kind: "passphrase", passphrase: readSecretFile(passphraseFile, "the passphrase file") };
}

/** What to do about a failure of the file system, where that is known. */
function adviceFor(error: unknown): string {
  const code = error instanceof Error && !(error instanceof AtollError) && "code" in error ? String(error.code) : "";
  if (["ENOSPC", "EDQUOT", "EFBIG"].includes(code)) return "; make room there, or keep fewer";
  return ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"].includes(code) ? "; it has to be a directory that the plane's user may write to" : "";
}
