import { closeSync, copyFileSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { isCorruption, SqliteEngine } from "./sqlite-engine.ts";

/** Where the state of an opened store came from; anything but "file" means that acknowledged writes may be missing. */
export type SqliteOrigin = "file" | "new" | "backup" | "emptied";

/** An engine, and what had to be done to open it: `movedAside` names unsound files, nothing is ever deleted. */
export interface OpenedEngine {
  readonly engine: SqliteEngine;
  readonly origin: SqliteOrigin;
  readonly movedAside: readonly string[];
}

/** Older copies kept beside the file: 1 is the newest. */
const backupGenerations = 2;

/**
 * Opens the database at `path`. A file that is not sound is renamed to `<path>.corrupt-<nowMs>` and the newest
 * sound backup takes its place, or an empty store if there is none.
 * @throws SQLite's own error when the file is sound but cannot be opened now (locked, no permission, disk full).
 */
export function openEngineFile(path: string, nowMs: number): OpenedEngine {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const movedAside: string[] = [];
  const isNew = !existsSync(path);
  // SQLite takes a file that was cut to nothing for a new one, and removes its write-ahead log. That there is a backup says otherwise; so it
  // does where there is no file, since whoever moved that aside may have been ended before he put the backup in its place.
  const isLost = (isNew || statSync(path).size === 0) && backupPaths(path).some((backup) => existsSync(backup));
  if (isLost) moveAside(path, nowMs, movedAside);
  const asFound = isLost ? undefined : tryOpen(path, nowMs, movedAside);
  if (asFound !== undefined) return { engine: asFound, origin: isNew ? "new" : "file", movedAside };
  for (const [at, backup] of backupPaths(path).entries()) {
    if (!existsSync(backup)) continue;
    putCopy(backup, path);
    const restored = tryOpen(path, nowMs + at + 1, movedAside);
    if (restored !== undefined) return { engine: restored, origin: "backup", movedAside };
  }
  return { engine: new SqliteEngine(path), origin: "emptied", movedAside };
}

/**
 * Writes the newest backup generation from `engine`, which goes on meanwhile, shifting the older ones; a crash leaves a sound one behind.
 * @throws SQLite's own error, or the reason of `signal`.
 */
export async function writeBackup(engine: SqliteEngine, path: string, signal: AbortSignal): Promise<void> {
  const partial = `${path}.backup-partial`;
  rmSync(partial, { force: true });
  try {
    await engine.copyTo(partial, signal);
  } catch (error) {
    // Where the disk is full, others need what it takes.
    rmSync(partial, { force: true });
    throw error;
  }
  syncFile(partial);
  for (let generation = backupGenerations; generation > 1; generation--) {
    const newer = backupPath(path, generation - 1);
    if (existsSync(newer)) renameSync(newer, backupPath(path, generation));
  }
  renameSync(partial, backupPath(path, 1));
  syncFile(dirname(path));
}

/** A copy that a machine without power forgot would take with it all that is acknowledged over it: SQLite syncs what it writes itself. */
function putCopy(backup: string, path: string): void {
  const partial = `${path}.restore-partial`;
  copyFileSync(backup, partial);
  syncFile(partial);
  renameSync(partial, path);
  syncFile(dirname(path));
}

/** The newest first. */
function backupPaths(path: string): readonly string[] {
  return Array.from({ length: backupGenerations }, (_, at) => backupPath(path, at + 1));
}

function backupPath(path: string, generation: number): string {
  return `${path}.backup-${generation}`;
}

function tryOpen(path: string, nowMs: number, movedAside: string[]): SqliteEngine | undefined {
  try {
    return new SqliteEngine(path);
  } catch (error) {
    if (!isCorruption(error)) throw error;
    moveAside(path, nowMs, movedAside);
    return undefined;
  }
}

function moveAside(path: string, nowMs: number, movedAside: string[]): void {
  // The write-ahead log belongs to its file: left behind, it would be played into the one that takes its place.
  for (const suffix of ["", "-wal", "-shm"]) {
    const source = `${path}${suffix}`;
    if (!existsSync(source)) continue;
    const target = `${path}.corrupt-${nowMs}${suffix}`;
    renameSync(source, target);
    movedAside.push(target);
  }
}

function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
