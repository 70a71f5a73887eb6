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

/** A store that answers and takes no writes, as on a full disk. */
export interface StoreUnwritable {
  /** Wall-clock ms of the first write that failed. */
  readonly sinceMs: number;
  readonly reason: string;
}

/** How a store is asked whether it takes writes. */
export interface WriteTrial {
  readonly tryWrite: (signal: AbortSignal) => Promise<void>;
  /** Nothing has failed here, and yet it is not known that writes are taken. */
  readonly isDoubtful: () => boolean;
}

/** How often a store is asked whether it is there: while it answers, and while it is away. */
const lookMs = { answering: 1_000, away: 250 } as const;

/** A failure counts for an absence after so long without an answer to anybody: a store that is asked for too much at once refuses, and is there. */
const quietMs = 500;

/**
 * A store of which it is known whether it answers, and whether it takes writes. While it is away nothing is written: a writer hears so at once,
 * and knows that nothing came of it. Reads are tried.
 */
export class ContactedStore implements Store {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #away = new WatchedValue<StoreAway | undefined>(undefined);
  readonly #followed: FollowedPrefixes;
  readonly #unwritable = new WatchedValue<StoreUnwritable | undefined>(undefined);
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

  /** Undefined while the store takes writes, or is away. */
  get unwritable(): Watched<StoreUnwritable | undefined> {
    return this.#unwritable;
  }

  /** What is watched here and may be old, though the store answers. */
  get unfollowed(): readonly UnfollowedPrefix[] {
    return this.#followed.unfollowed;
  }

  /**
   * Asks for `key` now and then, so that an absence is noticed although nobody works with the store, and a return at once; until `signal` aborts.
   * `tryWrite` writes something that changes nothing: it is called while the store takes no writes, or that is doubtful.
   */
  async look(key: string, { tryWrite, isDoubtful }: WriteTrial, signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#clock, this.#away.current === undefined ? lookMs.answering : lookMs.away, signal);
      try {
        await this.get(key, signal);
        if (this.#unwritable.current !== undefined || isDoubtful()) await tryWrite(signal);
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
    const outcome = await this.#asked(() => this.#store.commit(transaction, signal));
    if (outcome.kind === "committed") this.#unwritable.set(undefined);
    return outcome;
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
      this.#hasAnswered();
      return answer;
    } catch (error) {
      if (isAtollError(error, "ATOLL_STORE_UNWRITABLE")) {
        this.#hasAnswered();
        if (this.#unwritable.current === undefined) this.#unwritable.set({ sinceMs: Math.floor(this.#clock.nowMs()), reason: error.message });
        throw error;
      }
      const { wallMs, atMs } = this.#answered;
      const isSilent = isAtollError(error, "ATOLL_STORE_UNAVAILABLE") && this.#clock.monotonicMs() - atMs >= quietMs;
      if (isSilent && this.#away.current === undefined) {
        this.#away.set({ sinceMs: Math.floor(wallMs) });
        this.#unwritable.set(undefined);
        this.#followed.setAway(atMs);
      }
      throw error;
    }
  }

  #hasAnswered(): void {
    this.#answered = { wallMs: this.#clock.nowMs(), atMs: this.#clock.monotonicMs() };
    this.#away.set(undefined);
    this.#followed.setAway(undefined);
  }
}

function storeAway({ sinceMs }: StoreAway): AtollError {
  return new AtollError("ATOLL_STORE_UNAVAILABLE", `this plane's store has not answered since ${new Date(sinceMs).toISOString()}: nothing is written until it does`);
}
