import { Catalog } from "#federation/catalog/catalog.ts";
import { collectionName, keys } from "#federation/catalog/keys.ts";
import type { UnfollowedCollection } from "#federation/model/unfollowed-collection.ts";
import { epochOf, type StoreHistory, type StoreStanding } from "#federation/model/store-standing.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { keepInstanceId } from "#federation/runtime/instance-id.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import type { WritePrivateFile } from "#federation/runtime/private-file.ts";
import type { Random } from "#federation/runtime/random.ts";
import { runWhile } from "#federation/runtime/run-while.ts";
import { neededForChanges, writeTrialBytes, type WriteFailures } from "#federation/runtime/write-failures.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import { ContactedStore, type StoreAway, type StoreUnwritable } from "#federation/store/contacted-store.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { HistoryGuard } from "./history-guard.ts";
import { copyStore, type StoreCopy } from "./store-copy.ts";
import { StoreLife } from "./store-life.ts";

export interface TermStoreOptions {
  readonly store: Store;
  readonly term: LeaderTerm;
  /** Where what is remembered of the store is kept. */
  readonly dataDir: string;
  /** Is told when the store takes no writes. */
  readonly writeFailures: WriteFailures;
  /** As in `StoreLifeOptions`. */
  readonly writeFile?: WritePrivateFile | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A plane's store for one term of leadership: every write is fenced by the term, and what a plane works on goes forward only. */
export class TermStore {
  readonly life: StoreLife;
  /** Written whatever the standing of the store: for deciding about it, and for nothing else. */
  readonly unguarded: Catalog;
  readonly #options: TermStoreOptions;
  readonly #store: ContactedStore;

  private constructor(options: TermStoreOptions, parts: { readonly life: StoreLife; readonly unguarded: Catalog; readonly store: ContactedStore }) {
    this.#options = options;
    this.#store = parts.store;
    this.life = parts.life;
    this.unguarded = parts.unguarded;
  }

  /** @throws {ATOLL_STORE_UNAVAILABLE} */
  static async open(options: TermStoreOptions, signal: AbortSignal): Promise<TermStore> {
    const { dataDir, writeFile, clock, random, logger } = options;
    const store = new ContactedStore(options.store, clock);
    const unguarded = catalogOf(store, options);
    const life = await StoreLife.open({ catalog: unguarded, store, instance: keepInstanceId(dataDir), dataDir, writeFile, clock, random, logger }, signal);
    return new TermStore(options, { life, unguarded, store });
  }

  /** The epoch that is written in the store. */
  get epoch(): number {
    return epochOf(this.life.standing.current);
  }

  /** Which part of the store's history this term found, and up to where it is certain: the leader's key is the first that a term writes. */
  get history(): StoreHistory {
    const { opened, number } = this.#options.term;
    return { opened, written: Math.max(number, this.life.writtenAt) };
  }

  /** Undefined while the store answers. */
  get away(): Watched<StoreAway | undefined> {
    return this.#store.away;
  }

  /** Undefined while the store takes writes, or is away. */
  get unwritable(): Watched<StoreUnwritable | undefined> {
    return this.#store.unwritable;
  }

  /** What is held in memory of the store and may be old, though the store answers; the oldest first. */
  get unfollowed(): readonly UnfollowedCollection[] {
    return this.#store.unfollowed.map(({ prefix, ageMs, reason }) => ({ collection: collectionName(prefix), ageMs, reason }));
  }

  /** Wall-clock ms as of which something is shown, where that is not now. */
  get staleSinceMs(): number | undefined {
    const [oldest] = this.#store.unfollowed;
    return this.away.current?.sinceMs ?? (oldest === undefined ? undefined : this.#options.clock.nowMs() - oldest.ageMs);
  }

  /** What a backup holds. @throws {ATOLL_STORE_UNAVAILABLE} */
  async copy(signal: AbortSignal): Promise<StoreCopy> {
    return await copyStore(this.#store, signal);
  }

  /** Holds the store against what is known of it, and runs `work` for each standing with a catalog of its own, until `signal` aborts. */
  async run(work: WorkOverStore, signal: AbortSignal): Promise<void> {
    const { life } = this;
    const working = async (standing: StoreStanding, inner: AbortSignal): Promise<void> => {
      const catalog = catalogOf(new HistoryGuard(this.#store, life), this.#options);
      await work({ termStore: this, catalog, standing }, inner);
    };
    // While another may lead, or our own place is not in the store yet, positions seen there are not to be remembered.
    const watching = runWhile(this.#options.term.certain, (inner) => life.watch(inner));
    await runTasks([watching, (inner) => this.#look(inner), (inner) => life.during(working, inner)], signal);
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { logger, term, writeFailures } = this.#options;
    const saying = async (inner: AbortSignal): Promise<void> => {
      let before: StoreAway | undefined;
      for await (const away of this.away.changes(inner)) {
        if (away !== undefined) logger.warn("The store does not answer: what is known is shown as of then, and nothing is written.", { since: new Date(away.sinceMs).toISOString() });
        else if (before !== undefined) logger.info("The store answers again.");
        before = away;
      }
    };
    const sayingUnwritable = async (inner: AbortSignal): Promise<void> => {
      let before: StoreUnwritable | undefined;
      for await (const unwritable of this.unwritable.changes(inner)) {
        if (unwritable !== undefined) {
          writeFailures.failed(neededForChanges.store, new Error(unwritable.reason));
          logger.error("The store takes no writes: changes are refused, and reads go on.", { reason: unwritable.reason });
        } else {
          writeFailures.wrote(neededForChanges.store);
          if (before !== undefined && this.away.current === undefined) logger.info("The store takes writes again.");
        }
        before = unwritable;
      }
    };
    const trial = { tryWrite: (inner: AbortSignal) => this.#tryWrite(inner), isDoubtful: () => !term.certain.current };
    await runTasks([(inner) => this.#store.look(keys.leader, trial, inner), saying, sayingUnwritable], signal);
  }

  /** Leaves nothing behind. */
  async #tryWrite(signal: AbortSignal): Promise<void> {
    const conditions = [this.#options.term.fence];
    await this.#store.commit({ conditions, writes: [{ kind: "put", key: keys.writeTrial, value: new Uint8Array(writeTrialBytes) }] }, signal);
    await this.#store.commit({ conditions, writes: [{ kind: "delete", key: keys.writeTrial }] }, signal);
  }
}

/** What a plane works on while its store stands as it does. */
export interface StoreGround {
  readonly termStore: TermStore;
  readonly catalog: Catalog;
  readonly standing: StoreStanding;
}

export type WorkOverStore = (ground: StoreGround, signal: AbortSignal) => Promise<void>;

/** Runs `work` over the store of a term until `signal` aborts. `patiently` waits for a store that is away at first. */
export async function runOverStore(options: TermStoreOptions, patiently: (task: Task) => Task, work: WorkOverStore, signal: AbortSignal): Promise<void> {
  const opened: { store?: TermStore } = {};
  await patiently(async (inner) => void (opened.store = await TermStore.open(options, inner)))(signal);
  await opened.store?.run(work, signal);
}

function catalogOf(store: Store, { term, clock, logger }: TermStoreOptions): Catalog {
  return new Catalog({
    store,
    clock,
    fence: () => [term.fence],
    onFault: ({ key, error }) => logger.error("A stored value cannot be read and is left out.", { key, reason: describeError(error) }),
  });
}
