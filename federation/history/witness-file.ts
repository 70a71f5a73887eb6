import { readFileSync } from "node:fs";
import { z } from "zod";
import { behindReasons } from "#federation/model/store-standing.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFile, writePrivateFileSync, type WritePrivateFile } from "#federation/runtime/private-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { marksMax, nothingWitnessed, type StoreWitness } from "./store-witness.ts";

const generation = { epoch: z.int().min(0), revision: z.int().min(0) };

const schema = z.object({
  ...generation,
  marks: z.array(z.string().max(64)).max(marksMax).default([]),
  trailBegan: z.exactOptional(z.int().min(0)),
  behind: z.exactOptional(z.object({ reason: z.enum(behindReasons), witnessed: z.object(generation), witness: z.string().max(128) })),
});

export interface WitnessFileOptions {
  readonly path: string;
  readonly logger: Logger;
  /** Beside the event loop unless told. */
  readonly write?: WritePrivateFile;
}

/**
 * What a plane remembers of its store, in a file that is on the disk. Writes that wait for the disk are done one after the other, the latest
 * alone of those that wait: two syncs take some ms, for which everything else in the process would stand still.
 */
export class WitnessFile {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #write: WritePrivateFile;
  #witness: StoreWitness;
  /** How often it was written over whatever was being written. */
  #overwritten = 0;
  /** The write that is under way, and the one that begins after it. */
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor({ path, logger, write = writePrivateFile }: WitnessFileOptions, witness: StoreWitness) {
    this.#path = path;
    this.#logger = logger;
    this.#write = write;
    this.#witness = witness;
  }

  /**
   * With the witness that was written last, or that nothing is witnessed where there is no file. One that cannot be read counts as none, since a
   * damaged file must not end a region: the other planes are witnesses too.
   */
  static open(options: WitnessFileOptions): WitnessFile {
    return new WitnessFile(options, readWitness(options));
  }

  /** The one that was set last, on the disk or not. */
  get current(): StoreWitness {
    return this.#witness;
  }

  /** Resolves when `witness`, or a later one, is on the disk, or could not be written: a full disk must not end the plane, and what runs remembers. */
  async set(witness: StoreWitness): Promise<void> {
    this.#witness = witness;
    await this.#written();
  }

  /** The same before anything else happens in this process: what is being written never takes its place. */
  setNow(witness: StoreWitness): void {
    this.#witness = witness;
    this.#overwritten++;
    try {
      writePrivateFileSync(this.#path, JSON.stringify(witness));
    } catch (error) {
      this.#failed(error);
    }
  }

  #written(): Promise<void> {
    if (this.#writing === undefined) return this.#begin();
    this.#next ??= this.#writing.then(async () => {
      this.#next = undefined;
      await this.#written();
    });
    return this.#next;
  }

  #begin(): Promise<void> {
    const began = this.#overwritten;
    const work = this.#write(this.#path, JSON.stringify(this.#witness), () => began === this.#overwritten).catch((error: unknown) => this.#failed(error));
    this.#writing = work.then(() => void (this.#writing = undefined));
    return this.#writing;
  }

  #failed(error: unknown): void {
    this.#logger.error("The witness of the store could not be written.", { file: this.#path, reason: describeError(error) });
  }
}

function readWitness({ path, logger }: WitnessFileOptions): StoreWitness {
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const isAbsent = isMissing(error);
    if (!isAbsent) logger.error("The witness of the store cannot be read; the store is believed as it is.", { file: path, reason: describeError(error) });
    return nothingWitnessed;
  }
}
