import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { valuesUntilEnd } from "#federation/runtime/each-value.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { FollowedPrefixes, type UnfollowedPrefix } from "./followed-prefixes.ts";
import type { Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "./store.ts";

/** A store that does not answer. What is held in memory of it is as of `sinceMs`, the wall clock's time of its last answer. */
export interface StoreAway {
  readonly sinceMs: number;
}

/** How often a store is asked whether it is there: while it answers, and while it is away. */
const lookMs = { answering: 1_000, away: 250 } as const;

/** A failure counts for an absence after so long without an answer to anybody: a store that is asked for too much at once refuses, and is there. */
const quietMs = 500;

/**
 * A store of which it is known whether it answers. While it is away nothing is written: a writer hears so at once, and knows that nothing
 * came of it. Reads are tried.
 */
export class ContactedStore implements Store {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #away = new WatchedValue<StoreAway | undefined>(undefined);
  readonly #followed: FollowedPrefixes;
  /** By the wall clock, and by the monotonic one. */
  #answered: { readonly wallMs: number; readonly atMs: number };

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#followed = new FollowedPrefixes(clock);
    this.#answered = { wallMs: clock.nowMs(), atMs: clock.monotonicMs() };
  }

  /** Undefined while the store answers. */
  get away(): Watched<StoreAway | undefined> {
    return this.#away;
  }

  /** What is watched here and may be old, though the store answers. */
  get unfollowed(): readonly UnfollowedPrefix[] {
    return this.#followed.unfollowed;
  }

  /** Asks for `key` now and then, so that an absence is noticed although nobody works with the store, and a return at once; until `signal` aborts. */
  async look(key: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#clock, this.#away.current === undefined ? lookMs.answering : lookMs.away, signal);
      try {
        await this.get(key, signal);
      } catch (error) {
        if (signal.aborted || !isAtollError(error)) throw error;
      }
    }
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    return await this.#asked(() => this.#store.get(key, signal));
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    return await this.#asked(() => this.#store.list(prefix, signal));
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    const away = this.#away.current;
    if (away !== undefined) throw storeAway(away);
    return await this.#asked(() => this.#store.commit(transaction, signal));
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreBatch> {
    const report = this.#followed.begin(prefix);
    return valuesUntilEnd(this.#store.watch(prefix, signal, report), () => report[Symbol.dispose]());
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    return await this.#asked(() => this.#store.grantLease(ttlMs, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      const answer = await ask();
      this.#answered = { wallMs: this.#clock.nowMs(), atMs: this.#clock.monotonicMs() };
      this.#away.set(undefined);
      this.#followed.setAway(undefined);
      return answer;
    } catch (error) {
      const { wallMs, atMs } = this.#answered;
      const isSilent = isAtollError(error, "ATOLL_STORE_UNAVAILABLE") && this.#clock.monotonicMs() - atMs >= quietMs;
      if (isSilent && this.#away.current === undefined) {
        this.#away.set({ sinceMs: Math.floor(wallMs) });
        this.#followed.setAway(atMs);
      }
      throw error;
    }
  }
}

function storeAway({ sinceMs }: StoreAway): AtollError {
  return new AtollError("ATOLL_STORE_UNAVAILABLE", `this plane's store has not answered since ${new Date(sinceMs).toISOString()}: nothing is written until it does`);
}
