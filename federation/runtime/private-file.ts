import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file that only its owner may read (0600), whole or not at all: under another name, to the disk, then renamed,
 * and the folder to the disk so that the rename lasts. Missing folders are made, 0700.
 */
export function writePrivateFileSync(path: string, content: string | Uint8Array): void {
  writePrivateFilesSync([[path, content]]);
}

/** The same of several that belong together, as a key and its certificate: on a disk that does not take all of them, all stay what they were. */
export function writePrivateFilesSync(files: readonly (readonly [path: string, content: string | Uint8Array])[]): void {
  const temporaryOf = (path: string): string => `${path}.${process.pid}.tmp`;
  try {
    for (const [path, content] of files) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeSynced(temporaryOf(path), content);
    }
    for (const [path] of files) renameSync(temporaryOf(path), path);
  } finally {
    for (const [path] of files) rmSync(temporaryOf(path), { force: true });
  }
  for (const directory of new Set(files.map(([path]) => dirname(path)))) syncFolder(directory);
}

function writeSynced(path: string, content: string | Uint8Array): void {
  const file = openSync(path, "w", 0o600);
  try {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Writes a private file whole, or not at all, and not over what is there once `isWanted` says no; it is on the disk when it resolves. */
export type WritePrivateFile = (path: string, content: string | Uint8Array, isWanted?: () => boolean) => Promise<void>;

/** The same without holding up the event loop, for processes that carry traffic. */
export const writePrivateFile: WritePrivateFile = async (path, content, isWanted = () => true) => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    // In one turn: what is written meanwhile by whoever no longer wants this one stays.
    if (isWanted()) renameSync(temporary, path);
    else await rm(temporary, { force: true });
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};
