import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { KeptWrite } from "#federation/runtime/kept-write.ts";
import { decodeStoredState, encodeStoredState, type StoredState } from "./snapshot-file.ts";

/** Good generations that stay on disk. */
export const goodGenerationsMax = 3;

/** A generation is good when the process has served so long after taking it. */
export const goodAfterMs = 60_000;

/** So many starts in a row that did not serve for `goodAfterMs` step back one generation. */
export const startsPerStep = 3;

/** Older ones than the newest two candidates are of no use: one that is being proved, and the newest. */
const candidatesMax = 2;

const fileName = /^(\d{10})\.(new|good)$/;
const startsFile = "starts.json";

interface GenerationFile {
  readonly number: number;
  readonly good: boolean;
}

/**
 * The generations of what a proxy knew, on disk: written whole, mode 0600, each a candidate until the process has served
 * for a minute with it.
 *
 *   save -> 0000000042.new --served 60 s--> 0000000042.good --three newer good ones--> deleted
 *                 |
 *                 +--cannot be read--> moved aside, the one before is used
 *
 * A start uses the newest file; after `startsPerStep` starts in a row that died early it steps back one, and so on.
 */
export class LastKnownGood {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #kept: KeptWrite<StoredState>;
  #next = 1;
  /** The candidate that is being proved: a newer one does not take its turn away, or constant change would leave none good. */
  #proving: Disposable | undefined;
  #startsTimer: Disposable | undefined;
  #turn: Promise<void> = Promise.resolve();

  private constructor(dataDir: string, options: { readonly clock: Clock; readonly logger: Logger }) {
    this.#directory = join(dataDir, "lkg");
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#kept = new KeptWrite({ ...options, what: "The last known good state", write: (state) => this.#inTurn(() => this.#write(state)) });
  }

  /** Opens the directory, counts this start, and reads the generation to serve by; undefined when there is none. */
  static async open(dataDir: string, options: { readonly clock: Clock; readonly logger: Logger }): Promise<{ readonly store: LastKnownGood; readonly state: StoredState | undefined }> {
    const store = new LastKnownGood(dataDir, options);
    await mkdir(store.#directory, { recursive: true, mode: 0o700 });
    const earlyDeaths = await store.#readStarts();
    // A disk that takes nothing has all that is needed to serve.
    await store.#queue(() => store.#writeStarts(earlyDeaths + 1));
    store.#startsTimer = options.clock.schedule(goodAfterMs, () => void store.#queue(() => store.#writeStarts(0)));
    const state = await store.#load(Math.floor(earlyDeaths / startsPerStep));
    return { store, state };
  }

  /** Writes a new candidate, and again where that fails: serving goes on without it. */
  save(state: StoredState): Promise<void> {
    return this.#kept.put(state);
  }

  /** Why what is known could not be written; undefined while it is on the disk. */
  get failure(): string | undefined {
    return this.#kept.failure;
  }

  async #write(state: StoredState): Promise<void> {
    const number = this.#next++;
    await writePrivateFile(this.#pathOf({ number, good: false }), encodeStoredState(state));
    this.#proving ??= this.#clock.schedule(goodAfterMs, () => void this.#queue(() => this.#prove(number)));
    await this.#prune();
  }

  /** Resolves when everything asked for so far has been written. */
  flush(): Promise<void> {
    return this.#turn;
  }

  /** An orderly end is no crash. Waits for what is being written. */
  async close(): Promise<void> {
    await this.#kept[Symbol.asyncDispose]();
    this.#startsTimer?.[Symbol.dispose]();
    this.#proving?.[Symbol.dispose]();
    await this.#queue(() => this.#writeStarts(0));
  }

  async #load(steps: number): Promise<StoredState | undefined> {
    const files = (await this.#files()).toSorted((left, right) => right.number - left.number);
    this.#next = (files[0]?.number ?? 0) + 1;
    let skip = Math.min(steps, Math.max(0, files.length - 1));
    if (skip > 0) this.#logger.warn("The process died early several times; an earlier generation is used.", { stepsBack: skip });
    for (const file of files) {
      if (skip > 0) {
        skip--;
        continue;
      }
      const path = this.#pathOf(file);
      try {
        return decodeStoredState(await readFile(path, "utf8"));
      } catch (error) {
        const aside = `${path}.corrupt-${randomUUID().slice(0, 8)}`;
        await rename(path, aside);
        this.#logger.warn("A last known good file could not be used and was moved aside; the one before it is used.", { path, aside, reason: describeError(error) });
      }
    }
    return undefined;
  }

  async #prove(number: number): Promise<void> {
    this.#proving = undefined;
    await rename(this.#pathOf({ number, good: false }), this.#pathOf({ number, good: true }));
    const newest = this.#next - 1;
    if (newest > number) this.#proving = this.#clock.schedule(goodAfterMs, () => void this.#queue(() => this.#prove(newest)));
    await this.#prune();
  }

  /** Deletes what is older than the bounds. The candidate being proved is the oldest one, so it is never among them. */
  async #prune(): Promise<void> {
    const files = (await this.#files()).toSorted((left, right) => right.number - left.number);
    const good = files.filter((file) => file.good).slice(goodGenerationsMax);
    const candidates = files.filter((file) => !file.good);
    // The newest and the oldest stay; those between them have been overtaken.
    const overtaken = candidates.length > candidatesMax ? candidates.slice(1, -1) : [];
    for (const file of [...good, ...overtaken]) await rm(this.#pathOf(file), { force: true });
  }

  async #files(): Promise<readonly GenerationFile[]> {
    const names = await readdir(this.#directory);
    return names.flatMap((name) => {
      const match = fileName.exec(name);
      return match === null ? [] : [{ number: Number(match[1]), good: match[2] === "good" }];
    });
  }

  async #readStarts(): Promise<number> {
    try {
      const starts: unknown = (JSON.parse(await readFile(join(this.#directory, startsFile), "utf8")) as { readonly starts?: unknown }).starts;
      return typeof starts === "number" && Number.isInteger(starts) && starts >= 0 ? starts : 0;
    } catch {
      // Absent at the first start; a damaged count only means that nothing is stepped back.
      return 0;
    }
  }

  #writeStarts(starts: number): Promise<void> {
    return writePrivateFile(join(this.#directory, startsFile), JSON.stringify({ starts }));
  }

  #pathOf(file: GenerationFile): string {
    return join(this.#directory, `${String(file.number).padStart(10, "0")}.${file.good ? "good" : "new"}`);
  }

  /** Without anybody who would try again. */
  #queue(work: () => Promise<void>): Promise<void> {
    return this.#inTurn(work).catch((error: unknown) => {
      this.#logger.error("What is noted of this start and of good states could not be written.", { reason: describeError(error) });
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
