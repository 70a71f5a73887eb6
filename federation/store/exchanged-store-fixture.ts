import type { Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "./store.ts";

/** The store behind an address: another may take its place, as when an engine is restored from a copy while planes use it. */
export class ExchangedStore implements Store {
  #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** What is under way at the store before fails, and watches of it end. */
  async exchange(next: Store): Promise<void> {
    const before = this.#store;
    this.#store = next;
    await before[Symbol.asyncDispose]();
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    return await this.#store.get(key, signal);
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    return await this.#store.list(prefix, signal);
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    return await this.#store.commit(transaction, signal);
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreBatch> {
    return this.#store.watch(prefix, signal);
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    return await this.#store.grantLease(ttlMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}
