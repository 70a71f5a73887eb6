import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Registry } from "prom-client";
import { createBackupKey, parseBackupKey } from "#federation/model/backup-recipient.ts";
import { invalidField } from "#federation/runtime/config.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { decodeBackup } from "#federation/wire/backup-file.ts";
import { backupField, type BackupConfig } from "./backup-config.ts";
import { addBackupMetrics } from "./backup-metrics.ts";
import { BackupSchedule, type BackedUpStore } from "./backup-schedule.ts";

const key = createBackupKey();
const opener = { kind: "key", privateKey: parseBackupKey(key.privateKeyPem, "the key") } as const;
const hourMs = 3_600_000;

describe("backups that a plane makes by itself", () => {
  let dataDir: string;
  let clock: VirtualClock;
  let lines: { readonly message: string; readonly reason?: unknown }[];
  let copies: number;
  let copyFails: Error | undefined;
  let stops: { readonly stop: AbortController; readonly ended: Promise<void> }[];

  const logger = Object.fromEntries(["debug", "info", "warn", "error"].map((level) => [level, (message: string, facts: object = {}) => void lines.push({ message, ...facts })])) as unknown as Logger;
  const store: BackedUpStore = {
    epoch: 7,
    copy: async () => {
      if (copyFails !== undefined) throw copyFails;
      copies++;
      return { revision: copies, entries: [{ key: "/atoll/v1/objects/a", revision: copies, value: Buffer.from("a very plain text") }] };
    },
  };
  const schedule = (more: Partial<BackupConfig> = {}, plane = "shop-eu"): BackupSchedule =>
    new BackupSchedule({ config: { everySeconds: 3_600, keep: 3, recipients: [key.recipient], ...more }, federation: "small.atoll", plane, dataDir, clock, logger });
  /** Runs it, until the test is over at last. */
  const started = (made: BackupSchedule): AbortController => {
    const stop = new AbortController();
    const ended = made.run(store, stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    stops.push({ stop, ended });
    return stop;
  };
  /** Ends with the test's own time where it never holds: encrypting and the disk are not on the test's clock. */
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await clock.advance(0);
  };
  const directory = (): string => join(dataDir, "backups");
  const names = (): readonly string[] => (existsSync(directory()) ? readdirSync(directory()).toSorted() : []);

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-schedule-"));
    clock = new VirtualClock(Date.UTC(2026, 10, 29, 12));
    lines = [];
    copies = 0;
    copyFails = undefined;
    stops = [];
  });
  afterEach(async () => {
    for (const { stop, ended } of stops) {
      stop.abort();
      await ended;
    }
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("are made at once and then each interval, encrypted, for their owner alone, as many as are to be kept", async () => {
    const made = schedule();
    expect(made.standing).toEqual({ directory: directory(), everySeconds: 3_600, kept: 0, sinceMs: clock.nowMs(), failures: 0 });
    started(made);
    for (let turn = 1; turn <= 5; turn++) {
      await until(() => made.standing.newestAtMs === clock.nowMs() && made.standing.kept === Math.min(turn, 3));
      if (turn < 5) {
        for (let minute = 0; minute < 59; minute++) await clock.advance(60_000);
        expect(copies).toBe(turn);
        await clock.advance(60_000);
      }
    }
    expect(names()).toEqual(["shop-eu-20261129T140000Z.atoll-backup", "shop-eu-20261129T150000Z.atoll-backup", "shop-eu-20261129T160000Z.atoll-backup"]);
    expect(statSync(directory()).mode & 0o777).toBe(0o700);
    for (const name of names()) {
      expect(statSync(join(directory(), name)).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(directory(), name)).includes("plain text")).toBe(false);
    }
    const newest = decodeBackup(readFileSync(join(directory(), names()[2] ?? "")), opener);
    expect(newest).toMatchObject({ head: { federation: "small.atoll", plane: "shop-eu", epoch: 7, revision: 5, madeAtMs: Date.UTC(2026, 10, 29, 16) }, entries: [{ key: "/atoll/v1/objects/a" }] });
    expect(lines).toEqual([]);
  });

  it("go on after a restart from what lies there, and leave alone what is not theirs", async () => {
    const others = ["shop-eu-2-20261129T100000Z.atoll-backup", "shop-eu-notes.txt", "shop-eu-by-hand.atoll-backup", "global-20261129T100000Z.atoll-backup"];
    mkdirSync(directory());
    for (const name of [...others, "shop-eu-20261129T113000Z.atoll-backup", "shop-eu-20261129T103000Z.atoll-backup", "shop-eu-20261129T113000Z.atoll-backup.1f.tmp"]) writeFileSync(join(directory(), name), "x");
    const made = schedule({ keep: 1 });
    started(made);
    await until(() => made.standing.newestAtMs === Date.UTC(2026, 10, 29, 11, 30));
    expect(made.standing.kept).toBe(2);
    await clock.advance(29 * 60_000);
    expect(copies).toBe(0);
    await clock.advance(60_000);
    await until(() => made.standing.kept === 1 && made.standing.newestAtMs === clock.nowMs());
    expect(names()).toEqual([...others, "shop-eu-20261129T123000Z.atoll-backup"].toSorted());
  });

  it("are not held up by a file of a time to come, and the one just made stays", async () => {
    mkdirSync(directory());
    writeFileSync(join(directory(), "shop-eu-20361129T113000Z.atoll-backup"), "x");
    const made = schedule({ keep: 1 });
    started(made);
    await until(() => made.standing.newestAtMs === clock.nowMs() && made.standing.kept === 1);
    expect(names()).toEqual(["shop-eu-20261129T120000Z.atoll-backup"]);
  });

  it.each([
    { what: "a store that is away", isAway: true, reason: /^etcd did not do it$/ },
    { what: "a file in the place of the directory", isAway: false, reason: /; it has to be a directory that the plane's user may write to$/ },
  ])("say what keeps them from being made ($what), try again each minute, and log it once", async ({ isAway, reason }) => {
    const made = schedule();
    const registry = new Registry();
    addBackupMetrics(registry, () => made.standing, clock);
    const shown = async (): Promise<string> => (await registry.metrics()).replaceAll(/^#.*\n/gm, "");
    if (isAway) copyFails = new Error("etcd did not do it");
    else writeFileSync(directory(), "x");
    started(made);
    const failedAtMs = clock.nowMs();
    await until(() => made.standing.failing !== undefined);
    expect(made.standing.failing).toEqual({ sinceMs: failedAtMs, reason: expect.stringMatching(reason) as string });
    const { failures } = made.standing;
    for (let minute = 0; minute < 3; minute++) {
      const before = made.standing.failures;
      await clock.advance(60_000);
      await until(() => made.standing.failures === before + 1);
    }
    expect(made.standing).toMatchObject({ failing: { sinceMs: failedAtMs }, failures: failures + 3, kept: 0 });
    expect(lines.map(({ message }) => message)).toEqual(["A backup that is due cannot be made; it is tried again each minute."]);
    expect(await shown()).toContain("atoll_backup_failing 1\n");
    expect(await shown()).toContain("atoll_backup_age_seconds 180\n");
    expect(await shown()).toContain(`atoll_backup_failures_total ${failures + 3}\n`);

    copyFails = undefined;
    if (!isAway) rmSync(directory());
    await clock.advance(60_000);
    await until(() => made.standing.newestAtMs === clock.nowMs() && made.standing.kept === 1);
    expect(made.standing.failing).toBeUndefined();
    await until(() => lines.at(-1)?.message === "Backups are made again.");
    expect(await shown()).toContain("atoll_backup_failing 0\n");
    expect(await shown()).toMatch(/atoll_backup_bytes \d{3}\n/);
  });

  it("are encrypted with a passphrase where there is one, which others may not read, and which is in no log", async () => {
    const passphraseFile = join(dataDir, "passphrase");
    writeFileSync(passphraseFile, "a passphrase of these tests\n", { mode: 0o644 });
    const made = schedule({ recipients: [], passphraseFile });
    started(made);
    await until(() => made.standing.failing !== undefined);
    expect(made.standing.failing?.reason).toContain(`chmod 600 ${passphraseFile}`);
    expect(copies).toBe(0);
    chmodSync(passphraseFile, 0o600);
    await clock.advance(60_000);
    await until(() => made.standing.kept === 1);
    expect(decodeBackup(readFileSync(join(directory(), names()[0] ?? "")), { kind: "passphrase", passphrase: "a passphrase of these tests" }).entries).toHaveLength(1);
    expect(JSON.stringify([lines, made.standing])).not.toContain("of these tests");
  });

  it("are not written by a process that has just lost the lead", async () => {
    const made = schedule();
    const stop = new AbortController();
    const losing: BackedUpStore = {
      ...store,
      copy: async (signal) => {
        stop.abort();
        return await store.copy(signal);
      },
    };
    await expect(made.run(losing, stop.signal)).rejects.toThrow();
    expect([names(), made.standing.failures]).toEqual([[], 0]);
  });

  it("are due by the wall clock, also when it was set", async () => {
    const made = schedule();
    started(made);
    await until(() => made.standing.kept === 1);
    clock.jumpWall(2 * hourMs);
    await clock.advance(60_000);
    await until(() => made.standing.kept === 2);
  });
});

describe("the configuration of backups", () => {
  const read = (config: object): readonly [unknown, readonly string[]] => {
    const faults: { readonly path: string; readonly message: string }[] = [];
    const value = backupField.read(config, "backups", faults);
    return [value, faults.map(({ path, message }) => `${path}: ${message}`)];
  };

  it("has bounds and usual values", () => {
    expect(read({ recipients: [key.recipient] })).toEqual([{ everySeconds: 3_600, keep: 48, recipients: [key.recipient] }, []]);
    expect(read({ passphraseFile: "/etc/atoll/phrase", everySeconds: 60, keep: 1, directory: "/backups" })[1]).toEqual([]);
    for (const [config, fault] of [
      [{ recipients: [key.recipient], everySeconds: 59 }, "backups.everySeconds: expected a whole number from 60 to 604800"],
      [{ recipients: [key.recipient], keep: 1_001 }, "backups.keep: expected a whole number from 1 to 1000"],
      [{ recipients: Array.from({ length: 9 }, () => key.recipient) }, "backups.recipients: expected 0 to 8 items, found 9"],
      [{ recipients: [`${key.recipient.slice(0, -1)}!`] }, /^backups\.recipients\[0\]: ".*" is not a recipient of backups/],
      [{ recipients: [key.recipient], directory: "backups" }, "backups.directory: expected an absolute path"],
      [{}, /^backups: recipients: backups that are made by themselves are encrypted/],
      [{ recipients: [key.recipient], passphraseFile: "/p" }, "backups: recipients or passphraseFile, not both"],
    ] as const) {
      const [value, faults] = read(config);
      expect(value).toBe(invalidField);
      expect(faults).toEqual([typeof fault === "string" ? fault : (expect.stringMatching(fault) as string)]);
    }
  });
});
