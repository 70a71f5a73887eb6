import type { FollowReport, Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "./store.ts";

/** What a store held once. */
export interface StoreCopy {
  readonly entries: readonly StoreEntry[];
  /** The store's position then. */
  readonly revision: number;
}

/** Of a store in which nothing was. */
export const copyOfNothing: StoreCopy = { entries: [], revision: 0 };

/** Written over and over, so that another store comes to the position of a copied one. */
const passedKey = "passed";

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
    const { entries, revision } = await this.list("", never);
    return { entries: entries.filter(({ key }) => key !== leftOut), revision };
  }

  /** Puts `empty`, with what `copy` holds, in the place of the store: what was written together together, and nothing of what was between, so that its positions are others, and none above its own. */
  async putBack({ entries }: StoreCopy, empty: Store): Promise<void> {
    for (const written of Map.groupBy(byRevision(entries), ({ revision }) => revision).values()) await put(empty, written);
    await this.exchange(empty);
  }

  /** The same as a copied disk does it: each key is at the position at which it was and has begun where it did, and so is the store. */
  async putBackWhole({ entries, revision }: StoreCopy, empty: Store): Promise<void> {
    let at = 0;
    const passTo = async (position: number): Promise<void> => {
      while (at < position) at = await put(empty, [{ key: passedKey, value: new Uint8Array() }]);
    };
    const kept = byRevision(entries);
    const begun = kept.filter(({ createRevision, revision: last }) => createRevision < last).map(({ key, createRevision }) => ({ key, revision: createRevision, value: new Uint8Array() }));
    const together = Map.groupBy([...begun, ...kept].toSorted((a, b) => a.revision - b.revision), (write) => write.revision);
    for (const [position, written] of together) {
      await passTo(position - 1);
      at = await put(empty, written);
    }
    await passTo(revision);
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

  watch(prefix: string, signal: AbortSignal, report?: FollowReport): AsyncIterable<StoreBatch> {
    return this.#store.watch(prefix, signal, report);
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    return await this.#store.grantLease(ttlMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

function byRevision(entries: readonly StoreEntry[]): readonly StoreEntry[] {
  return entries.filter(({ key }) => key !== passedKey).toSorted((a, b) => a.revision - b.revision);
}

async function put(store: Store, entries: readonly Pick<StoreEntry, "key" | "value">[]): Promise<number> {
  const commit = await store.commit({ conditions: [], writes: entries.map(({ key, value }) => ({ kind: "put", key, value })) }, never);
  if (commit.kind === "conflict") throw new Error("a write without a condition conflicts");
  return commit.revision;
}
