import type { Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "./store.ts";

/** What a store held once. */
export type StoreCopy = readonly StoreEntry[];

const never = new AbortController().signal;

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

  /** All that it holds but for `leftOut`, a key that is of one moment. */
  async copy(leftOut: string): Promise<StoreCopy> {
    const { entries } = await this.list("", never);
    return entries.filter(({ key }) => key !== leftOut);
  }

  /** Puts `empty`, with what `copy` holds, in the place of the store. */
  async putBack(copy: StoreCopy, empty: Store): Promise<void> {
    for (const { key, value } of copy.toSorted((a, b) => a.revision - b.revision)) await empty.commit({ conditions: [], writes: [{ kind: "put", key, value }] }, never);
    await this.exchange(empty);
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
