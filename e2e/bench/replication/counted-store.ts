import type { Store, StoreCommit, StoreTransaction } from "#federation/store/store.ts";

/** What was asked of a store since it was opened. */
export interface StoreCounts {
  transactions: number;
  writes: number;
}

/** `store` with its commits counted; it stays its opener's to close. */
export function countedStore(store: Store): { readonly store: Store; readonly counts: StoreCounts } {
  const counts: StoreCounts = { transactions: 0, writes: 0 };
  const counted: Store = {
    get: (key, signal) => store.get(key, signal),
    list: (prefix, signal) => store.list(prefix, signal),
    commit: async (transaction: StoreTransaction, signal): Promise<StoreCommit> => {
      counts.transactions++;
      counts.writes += transaction.writes.length;
      return await store.commit(transaction, signal);
    },
    watch: (prefix, signal) => store.watch(prefix, signal),
    grantLease: (ttlMs, signal) => store.grantLease(ttlMs, signal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { store: counted, counts };
}
