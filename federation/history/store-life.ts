import { join } from "node:path";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { keys } from "#federation/catalog/keys.ts";
import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { epochOf, ownWitness, type SeenBehind, type ShownPosition, type StoreStanding } from "#federation/model/store-standing.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { WritePrivateFile } from "#federation/runtime/private-file.ts";
import { runUntil } from "#federation/runtime/run-while.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { HistoryKeeper } from "./history-guard.ts";
import { judgeStore, nothingWitnessed, withMark, type Remembered, type StoreFacts, type StoreWitness } from "./store-witness.ts";
import { TrailFile } from "./trail-file.ts";
import { WitnessFile } from "./witness-file.ts";

export interface StoreLifeOptions {
  /** Fenced by the term, and written whatever the store's standing. */
  readonly catalog: Catalog;
  /** What `catalog` is of. */
  readonly store: Store;
  /** Which process of the plane this is: the id of its mark and of its trail. */
  readonly instance: string;
  /** Where the witness of the store is kept: `witness.json`, and `trail`. */
  readonly dataDir: string;
  /** How the witness is written where something waits for it: beside the event loop unless told. */
  readonly writeFile?: WritePrivateFile | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const witnessFileName = "witness.json";
const trailFileName = "trail";
/** In its data directory, all that a plane remembers of its store. */
export const rememberedFiles = [witnessFileName, trailFileName] as const;

/** How often the store is held against the witness, and the witness brought up to date. */
export const witnessIntervalMs = 2_000;

/**
 * The life of a plane's store, as the plane that leads remembers it. An epoch of it goes on for as long as the store holds
 * what was witnessed of it. A store that does not is behind, and stays so, whatever is written there meanwhile, until an operator's
 * decision begins the next epoch: revisions of the one before may have been given out a second time.
 */
export class StoreLife implements HistoryKeeper {
  readonly trailKey: string;
  readonly #options: StoreLifeOptions;
  readonly #standing: WatchedValue<StoreStanding>;
  readonly #trail: TrailFile;
  readonly #file: WitnessFile;
  /** Position of the mark that was written last. */
  #markedAt = 0;
  #shown: ShownPosition | undefined;
  #hasDecided = false;

  private constructor(options: StoreLifeOptions, remembered: { readonly file: WitnessFile; readonly trail: TrailFile }, standing: StoreStanding) {
    this.trailKey = trailKeyOf(options);
    this.#options = options;
    this.#file = remembered.file;
    this.#trail = remembered.trail;
    this.#standing = new WatchedValue(standing);
  }

  /**
   * Holds the store against the witness, and begins the first epoch of a new one: the wall clock's seconds, so that a plane that was made
   * anew under its name is above all that the one before it had said. @throws {ATOLL_STORE_UNAVAILABLE}
   */
  static async open(options: StoreLifeOptions, signal: AbortSignal): Promise<StoreLife> {
    const { catalog, dataDir, writeFile, clock, logger } = options;
    const file = WitnessFile.open({ path: join(dataDir, witnessFileName), logger, ...(writeFile === undefined ? {} : { write: writeFile }) });
    const trail = TrailFile.open(join(dataDir, trailFileName), logger);
    const facts = await readFacts(options, signal);
    const isNew = facts.epoch === 0 && file.current.epoch === 0 && trail.position.epoch === 0;
    const startedAtMs = Math.floor(clock.nowMs());
    const epoch = isNew ? Math.max(1, Math.floor(startedAtMs / 1_000)) : facts.epoch;
    const life = new StoreLife(options, { file, trail }, { state: "sound", epoch });
    if (isNew) await catalog.setEpoch({ epoch, startedAtMs }, signal);
    else life.#judge(facts, life.#remembered());
    return life;
  }

  get standing(): Watched<StoreStanding> {
    return this.#standing;
  }

  /** This process has begun an epoch by a decision: the store may lack what others had told it since. */
  get hasDecided(): boolean {
    return this.#hasDecided;
  }

  get isSound(): boolean {
    return this.#standing.current.state === "sound";
  }

  get writtenAt(): number {
    const { epoch, revision } = this.#trail.position;
    return epoch === epochOf(this.#standing.current) ? revision : 0;
  }

  get trailBegan(): number | undefined {
    const { epoch, trailBegan } = this.#witness;
    return epoch === epochOf(this.#standing.current) ? trailBegan : undefined;
  }

  written(revision: number): void {
    this.#trail.set({ epoch: epochOf(this.#standing.current), revision: Math.max(revision, this.writtenAt) });
  }

  regressed(found: number, seen: number): void {
    const epoch = epochOf(this.#standing.current);
    this.#behind({ reason: "revision", witnessed: { epoch, revision: seen }, witness: ownWitness }, { epoch, revision: found });
  }

  trailLost(found: number): void {
    const epoch = epochOf(this.#standing.current);
    this.#behind({ reason: "mark", witnessed: { epoch, revision: this.writtenAt }, witness: ownWitness }, { epoch, revision: found });
  }

  /**
   * Another plane shows what this one had published at a position above the present one, or what another of its lives had written and this one has not found. It is believed when this process is known to lead
   * still: one whose term is over has merely not read what its successor wrote.
   */
  readonly outdone = (shown: ShownPosition): void => {
    this.#shown = shown;
  };

  /** Begins the next epoch, above all that were witnessed and `above`; from here on the store is believed again. @throws {ATOLL_STORE_CONFLICT} when another process of the plane did so first. */
  async beginEpoch(above: number, signal: AbortSignal): Promise<number> {
    const { catalog, clock, logger } = this.#options;
    const stored = await catalog.epoch(signal);
    const epoch = Math.max(stored?.value.epoch ?? 0, this.#remembered().witness.epoch, this.#witness.behind?.witnessed.epoch ?? 0, above) + 1;
    const revision = await catalog.setEpoch({ epoch, startedAtMs: Math.floor(clock.nowMs()) }, signal);
    this.#file.setNow({ epoch, revision, marks: [] });
    this.#markedAt = 0;
    this.#shown = undefined;
    this.#hasDecided = true;
    logger.warn("A new epoch of the store begins, as was decided.", { epoch });
    this.#standing.set({ state: "sound", epoch });
    return epoch;
  }

  /** Holds the store against the witness now and then, and keeps the witness near it, until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        if (this.isSound) await this.#lookAndMark(signal);
      } catch (error) {
        if (!isAtollError(error) || signal.aborted) throw error;
        // A store that is away must not end the plane: an older witness notices less, and nothing wrongly.
        this.#options.logger.warn("The store could not be held against its witness.", { reason: describeError(error) });
      }
      await sleep(this.#options.clock, witnessIntervalMs, signal);
    }
  }

  /** Runs `work` for as long as the standing is what it was when it began, and again for the next one, until `signal` aborts. */
  async during(work: (standing: StoreStanding, signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { current } = this.#standing;
      await runUntil(this.#standing, (standing) => standing !== current, (inner) => work(current, inner), signal);
    }
  }

  async #lookAndMark(signal: AbortSignal): Promise<void> {
    const { catalog, instance, clock, random } = this.#options;
    const remembered = this.#remembered();
    const facts = await readFacts(this.#options, signal);
    this.#judge(facts, remembered);
    if (!this.isSound) return;
    const { epoch } = facts;
    const known = this.#witness.epoch === epoch ? this.#witness : { ...nothingWitnessed, epoch };
    const witness = { ...known, revision: Math.max(known.revision, facts.revision), ...(facts.trail === 0 ? {} : { trailBegan: facts.trailBegan }) };
    // Engines are shared: what others write there moves the position, and is nothing to be marked.
    const shown = this.#shown;
    if (this.#markedAt > this.writtenAt && shown === undefined) {
      if (witness.revision > this.#witness.revision || witness.trailBegan !== this.#witness.trailBegan) await this.#file.set(witness);
      return;
    }
    const marked = withMark(witness, facts, Buffer.from(random.bytes(12)).toString("hex"));
    const mark = marked.marks.at(-1) ?? "";
    // Remembered before it is written: if the outcome is lost, either is good.
    await this.#file.set(marked);
    if (!this.isSound) return;
    this.#markedAt = await catalog.marks.put(instance, { mark, writtenAtMs: Math.floor(clock.nowMs()) }, {}, signal);
    await this.#file.set({ ...this.#witness, revision: Math.max(this.#markedAt, this.#witness.revision), marks: [mark] });
    // The mark was written under the fence of the term: so we lead.
    this.#shown = undefined;
    if (shown !== undefined && compareGenerations(shown.witnessed, shown.present()) > 0) {
      this.#behind({ reason: "peer", witnessed: shown.witnessed, witness: shown.witness }, shown.present());
    }
  }

  get #witness(): StoreWitness {
    return this.#file.current;
  }

  #remembered(): Remembered {
    const witness = this.#witness;
    const { epoch, revision } = this.#trail.position;
    // They are two files, and the process may have ended between them: the one of the later epoch counts.
    if (epoch > witness.epoch) {
      const { trailBegan: _, ...rest } = witness;
      return { witness: { ...rest, epoch, revision, marks: [] }, writtenAt: revision };
    }
    return { witness, writtenAt: epoch === witness.epoch ? revision : 0 };
  }

  #judge(facts: StoreFacts, remembered: Remembered): void {
    const behind = judgeStore(facts, remembered);
    if (behind !== undefined) this.#behind(behind, facts);
  }

  #behind(behind: SeenBehind, { epoch, revision }: Generation): void {
    if (!this.isSound) return;
    const { clock, logger } = this.#options;
    const { reason, witness, witnessed } = behind;
    logger.error("The store is behind what was witnessed of it: nothing is written or published until somebody decides by `atoll reconcile`.", {
      behind: reason,
      witness,
      witnessedEpoch: witnessed.epoch,
      witnessedRevision: witnessed.revision,
      foundEpoch: epoch,
      foundRevision: revision,
    });
    this.#file.setNow({ ...this.#witness, behind });
    this.#standing.set({ state: "behind", ...behind, found: { epoch, revision }, sinceMs: Math.floor(clock.nowMs()) });
  }
}

async function readFacts(options: StoreLifeOptions, signal: AbortSignal): Promise<StoreFacts> {
  const { catalog, store, instance } = options;
  const { epoch = 0, restoredFromMs } = (await catalog.epoch(signal))?.value ?? {};
  const { revision: trail = 0, createRevision: trailBegan = 0 } = (await store.get(trailKeyOf(options), signal)) ?? {};
  const { items, revision } = await catalog.marks.list(signal);
  return { epoch, revision, restoredFromMs, mark: items.find(({ id }) => id === instance)?.value.mark, trail, trailBegan };
}

function trailKeyOf({ instance }: StoreLifeOptions): string {
  return `${keys.trails}${instance}`;
}
