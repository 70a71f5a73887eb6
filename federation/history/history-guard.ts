import { AtollError } from "#federation/runtime/errors.ts";
import type { Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "#federation/store/store.ts";

export interface HistoryGuardOptions {
  /** Whether the store may be written now. */
  readonly isSound: () => boolean;
  /** Hears of an answer from before what had been answered already. */
  readonly onRegress: (found: number, seen: number) => void;
}

/**
 * A store whose history may only go on. An answer at a position that an earlier answer had passed is an error and not a
 * value: an engine was restored, or exchanged, under a process that runs. While the store is not sound nothing is written.
 *
 * Positions are compared with those that were known when the question went out, since answers overtake each other; a
 * watch, which lags by nature, with its own.
 */
export class HistoryGuard implements Store {
  readonly #store: Store;
  readonly #options: HistoryGuardOptions;
  #seen = 0;
  /** Position of the last write through here; 0 before the first. */
  writtenAt = 0;

  constructor(store: Store, options: HistoryGuardOptions) {
    this.#store = store;
    this.#options = options;
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    const entry = await this.#store.get(key, signal);
    this.#seen = Math.max(this.#seen, entry?.revision ?? 0);
    return entry;
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    const seen = this.#seen;
    const listing = await this.#store.list(prefix, signal);
    this.#answered(listing.revision, seen);
    return listing;
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    if (!this.#options.isSound()) throw storeBehind("nothing is written");
    const seen = this.#seen;
    const outcome = await this.#store.commit(transaction, signal);
    if (outcome.kind === "committed") {
      this.#answered(outcome.revision, seen);
      this.writtenAt = Math.max(this.writtenAt, outcome.revision);
    }
    return outcome;
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<StoreBatch, void, undefined> {
    let seen = 0;
    for await (const batch of this.#store.watch(prefix, signal)) {
      this.#answered(batch.revision, seen);
      seen = batch.revision;
      yield batch;
    }
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    return await this.#store.grantLease(ttlMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  #answered(revision: number, seen: number): void {
    if (revision < seen) {
      this.#options.onRegress(revision, seen);
      throw storeBehind(`it answers from position ${revision}, after ${seen}`);
    }
    this.#seen = Math.max(this.#seen, revision);
  }
}

function storeBehind(detail: string): AtollError {
  return new AtollError("ATOLL_STORE_BEHIND", `this plane's store is behind what was witnessed of it: ${detail}`);
}
