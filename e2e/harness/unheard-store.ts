import { AtollError } from "#federation/runtime/errors.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import type { FollowReport, Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "#federation/store/store.ts";

/** A store that, when told to, answers whoever asks for one key or writes, refuses to list, and tells its watchers nothing until that ends; or reads and takes no writes. */
export class UnheardStore implements Store {
  readonly #store: Store;
  readonly #isHeard = new WatchedValue(true);
  readonly #reports = new Set<FollowReport>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Writes are refused as by a full disk otherwise. */
  isWritable = true;

  set isHeard(isHeard: boolean) {
    this.#isHeard.set(isHeard);
    for (const report of this.#reports) {
      if (isHeard) report.follows();
      else report.lost("told to refuse it");
    }
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    return await this.#store.get(key, signal);
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    if (!this.#isHeard.current) throw new AtollError("ATOLL_STORE_UNAVAILABLE", "told to refuse it");
    return await this.#store.list(prefix, signal);
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    if (!this.isWritable) throw new AtollError("ATOLL_STORE_UNWRITABLE", "told to be full");
    return await this.#store.commit(transaction, signal);
  }

  async *watch(prefix: string, signal: AbortSignal, report?: FollowReport): AsyncGenerator<StoreBatch, void, undefined> {
    if (report !== undefined) this.#reports.add(report);
    try {
      for await (const batch of this.#store.watch(prefix, signal, report)) {
        await until(this.#isHeard, (isHeard) => isHeard, signal);
        yield batch;
      }
    } finally {
      if (report !== undefined) this.#reports.delete(report);
    }
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    return await this.#store.grantLease(ttlMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}
