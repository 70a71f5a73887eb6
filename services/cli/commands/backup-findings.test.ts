import { expect, it } from "vitest";
import { renderTable } from "../table.ts";
import { backupColumns, backupLines, backupProblems } from "./backup-findings.ts";

const hourMs = 3_600_000;
const asOfMs = 100 * hourMs;
const backups = (more: object = {}) => ({ directory: "/var/lib/atoll/global/backups", everySeconds: 3_600, kept: 3, sinceMs: asOfMs - 10 * hourMs, newestAtMs: asOfMs - hourMs, ...more });
const sound = { state: "sound", epoch: 1 } as const;
const behind = { state: "behind", reason: "mark", witness: "this plane", witnessed: { epoch: 1, revision: 9 }, found: { epoch: 1, revision: 40 }, sinceMs: 1 } as const;

it("says nothing of a plane that makes none, nor of one that makes them in time", () => {
  expect(backupProblems("global", { asOfMs })).toEqual([]);
  expect(backupProblems("global", { asOfMs, store: sound, backups: backups() })).toEqual([]);
  expect(backupProblems("global", { asOfMs, store: sound, backups: backups({ newestAtMs: asOfMs - 2 * hourMs }) })).toEqual([]);
});

it("names a backup that cannot be made, why, and how old the newest is", () => {
  const failing = { sinceMs: asOfMs - 60_000, reason: "ENOSPC: no space left on device; make room there, or keep fewer" };
  expect(backupProblems("global", { asOfMs, store: sound, backups: backups({ failing }) })).toEqual([
    "no backup of the store of global can be made in /var/lib/atoll/global/backups: ENOSPC: no space left on device; make room there, or keep fewer; the newest is 60 min old, and it is tried again each minute",
  ]);
  const { newestAtMs: _, ...none } = backups({ failing });
  expect(backupProblems("global", { asOfMs, store: sound, backups: none })[0]).toContain("there is none yet");
});

it("names one that is overdue, unless its store says why", () => {
  const late = backups({ newestAtMs: asOfMs - 3 * hourMs });
  expect(backupProblems("shop-eu", { asOfMs, store: sound, backups: late })).toEqual([
    "the backup of the store of shop-eu is overdue: one is made each 60 min in /var/lib/atoll/global/backups, and the newest is 3 h old; look at the log of its plane and whether that directory answers, and make one by `atoll backup shop-eu` meanwhile",
  ]);
  const { newestAtMs: _, ...none } = late;
  expect(backupProblems("shop-eu", { asOfMs, store: sound, backups: none })[0]).toContain("there is none yet");
  expect(backupProblems("shop-eu", { asOfMs, store: behind, backups: late })).toEqual([]);
  expect(backupProblems("shop-eu", { asOfMs, store: sound, storeAwaySinceMs: 1, backups: late })).toEqual([]);
});

it("is a line of the status for each plane that makes some", () => {
  expect(renderTable(backupColumns, [...backupLines("global", { asOfMs, backups: backups() }), ...backupLines("shop-eu", { asOfMs })], 200).map((line) => line.replaceAll(/ {2,}/g, " | "))).toEqual([
    "BACKUPS OF | NEWEST | EACH | KEPT | IN",
    "global | 60 min ago | 60 min | 3 | /var/lib/atoll/global/backups",
  ]);
});
