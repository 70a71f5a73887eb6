import { Catalog } from "#federation/catalog/catalog.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { keepInstanceId } from "#federation/runtime/instance-id.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import type { Random } from "#federation/runtime/random.ts";
import { HistoryGuard } from "./history-guard.ts";
import type { LeaderTerm } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { StoreLife } from "./store-life.ts";

export interface TermStoreOptions {
  readonly store: Store;
  readonly term: LeaderTerm;
  /** Where what is remembered of the store is kept. */
  readonly dataDir: string;
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

  private constructor(options: TermStoreOptions, parts: { readonly life: StoreLife; readonly unguarded: Catalog }) {
    this.#options = options;
    this.life = parts.life;
    this.unguarded = parts.unguarded;
  }

  /** @throws {ATOLL_STORE_UNAVAILABLE} */
  static async open(options: TermStoreOptions, signal: AbortSignal): Promise<TermStore> {
    const { store, dataDir, clock, random, logger } = options;
    const unguarded = catalogOf(store, options);
    const life = await StoreLife.open({ catalog: unguarded, store, instance: keepInstanceId(dataDir), dataDir, clock, random, logger }, signal);
    return new TermStore(options, { life, unguarded });
  }

  /** Holds the store against what is known of it, and runs `work` for each standing with a catalog of its own, until `signal` aborts. */
  async run(work: WorkOverStore, signal: AbortSignal): Promise<void> {
    const { life } = this;
    const working = async (standing: StoreStanding, inner: AbortSignal): Promise<void> => {
      const catalog = catalogOf(new HistoryGuard(this.#options.store, life), this.#options);
      await work({ termStore: this, catalog, standing }, inner);
    };
    await runTasks([(inner) => life.watch(inner), (inner) => life.during(working, inner)], signal);
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
