import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";

const ending = ".atoll-backup";

/** The backups of one plane in a directory, by the times in their names: `global-20261129T184500Z.atoll-backup`. Other files there are left alone. */
export class BackupDirectory {
  readonly path: string;
  readonly #plane: string;

  constructor(path: string, plane: string) {
    this.path = path;
    this.#plane = plane;
  }

  /** When they were made, in wall-clock ms, the newest first. None where there is no directory yet. */
  async times(): Promise<readonly number[]> {
    const names = await this.#names();
    return names.flatMap((name) => this.#timeOf(name) ?? []).toSorted((a, b) => b - a);
  }

  /** Puts one there, 0600, whole and on the disk or not at all, and reads it again. @throws {ATOLL_BACKUP_FAILED} when it does not read as it was written */
  async add(file: Uint8Array, madeAtMs: number): Promise<void> {
    const path = this.#pathOf(madeAtMs);
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    await writePrivateFile(path, file);
    if ((await readFile(path)).equals(file)) return;
    await rm(path, { force: true });
    throw new AtollError("ATOLL_BACKUP_FAILED", `${path} did not read as it was written: the disk is not sound`);
  }

  /** Removes all but the `keep` newest, and never the one that was made at `newest`; also what a process that was killed left half written. Answers how many there are then. */
  async prune(keep: number, newest: number): Promise<number> {
    const others = (await this.times()).filter((time) => time !== Math.floor(newest / 1_000) * 1_000);
    const left = (await this.#names()).filter((name) => name.endsWith(".tmp") && this.#timeOf(name.slice(0, name.indexOf(ending) + ending.length)) !== undefined);
    for (const path of [...others.slice(keep - 1).map((time) => this.#pathOf(time)), ...left.map((name) => join(this.path, name))]) await rm(path, { force: true });
    return (await this.times()).length;
  }

  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.path);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  #pathOf(madeAtMs: number): string {
    const stamp = new Date(madeAtMs).toISOString().replace(/[-:]|\.\d+/g, "");
    return join(this.path, `${this.#plane}-${stamp}${ending}`);
  }

  /** Undefined for what is no backup of this plane. */
  #timeOf(name: string): number | undefined {
    if (!name.startsWith(`${this.#plane}-`) || !name.endsWith(ending)) return undefined;
    const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(name.slice(this.#plane.length + 1, -ending.length)) ?? [];
    const [year, month, day, hour, minute, second] = parts;
    const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
    return Number.isNaN(time) ? undefined : time;
  }
}
