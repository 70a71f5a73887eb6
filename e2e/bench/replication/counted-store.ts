import { keys } from "#federation/catalog/keys.ts";
import type { Store, StoreCommit, StoreTransaction } from "#federation/store/store.ts";

/** What was asked of a store since it was opened. */
export interface StoreCounts {
  transactions: number;
  writes: number;
  /** Writes of what somebody has said; how far replication has come, and heartbeats, which time brings, are left out. */
  contents: number;
}

const isContent = (key: string): boolean => ![keys.positions, keys.heartbeats].some((prefix) => key.startsWith(prefix));

/** `store` with its commits counted; it stays its opener's to close. */
export function countedStore(store: Store): { readonly store: Store; readonly counts: StoreCounts } {
  const counts: StoreCounts = { transactions: 0, writes: 0, contents: 0 };
  const counted: Store = {
    get: (key, signal) => store.get(key, signal),
    list: (prefix, signal) => store.list(prefix, signal),
    commit: async (transaction: StoreTransaction, signal): Promise<StoreCommit> => {
      counts.transactions++;
      counts.writes += transaction.writes.length;
      counts.contents += transaction.writes.filter(({ key }) => isContent(key)).length;
      return await store.commit(transaction, signal);
    },
    watch: (prefix, signal) => store.watch(prefix, signal),
    grantLease: (ttlMs, signal) => store.grantLease(ttlMs, signal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { store: counted, counts };
}
