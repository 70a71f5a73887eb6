import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Generation } from "#federation/model/snapshot.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";

const nowhere: Generation = { epoch: 0, revision: 0 };
/** Two safe integers, a space and the end of the line. */
const lineBytes = 34;

/**
 * The position of a process's last acknowledged write, in a file that outlives the process. One line of fixed length, written over in
 * place with each write: it costs no allocation, so that a full disk does not stop it, and no sync. What a machine forgets that loses its
 * power is an earlier position, by which less is noticed and nothing wrongly.
 */
export class TrailFile {
  readonly #path: string;
  readonly #logger: Logger;
  #position: Generation;
  #isFailing = false;

  private constructor(path: string, position: Generation, logger: Logger) {
    this.#path = path;
    this.#position = position;
    this.#logger = logger;
  }

  /** A file that is not there, or cannot be read, counts as no write so far. */
  static open(path: string, logger: Logger): TrailFile {
    const found = readLine(path);
    const file = new TrailFile(path, found ?? nowhere, logger);
    if (found === undefined) file.#guarded(() => writePrivateFileSync(path, lineOf(nowhere)));
    return file;
  }

  get position(): Generation {
    return this.#position;
  }

  /** The same position again writes nothing: writes that go together have one. */
  set(position: Generation): void {
    if (position.epoch === this.#position.epoch && position.revision === this.#position.revision && !this.#isFailing) return;
    this.#position = position;
    this.#guarded(() => {
      const file = openSync(this.#path, "r+");
      try {
        writeSync(file, lineOf(position), 0);
      } finally {
        closeSync(file);
      }
    });
  }

  /** What runs remembers, whatever becomes of the file. Said once until it can be written again. */
  #guarded(write: () => void): void {
    try {
      write();
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#logger.error("The position of the last write could not be kept.", { file: this.#path, reason: describeError(error) });
      this.#isFailing = true;
    }
  }
}

function lineOf({ epoch, revision }: Generation): string {
  return `${`${epoch} ${revision}`.padEnd(lineBytes - 1)}\n`;
}

function readLine(path: string): Generation | undefined {
  try {
    const [, epoch, revision] = /^(\d{1,16}) (\d{1,16}) *\n$/.exec(readFileSync(path, "latin1")) ?? [];
    return epoch === undefined ? undefined : { epoch: Number(epoch), revision: Number(revision) };
  } catch {
    return undefined;
  }
}
