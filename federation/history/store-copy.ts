import { keys } from "#federation/catalog/keys.ts";
import type { BackupEntry } from "#federation/model/store-backup.ts";
import type { Store } from "#federation/store/store.ts";

/** What a store holds at one revision, as far as another store may be filled with it. */
export interface StoreCopy {
  readonly revision: number;
  readonly entries: readonly BackupEntry[];
}

/**
 * What is of one process, or of one moment: its leadership, and what it knows its store again by. And tokens: one that was used or revoked
 * since must not come back into force.
 */
const leftOut = [keys.leader, keys.marks, keys.trails, keys.joinTokens, keys.provisioningTokens, keys.provisioningIndex, keys.restored] as const;

/** True for a key that a backup holds, and a restore writes. */
export function isBackedUp(key: string): boolean {
  return key.startsWith(keys.root) && !leftOut.some((prefix) => key === prefix || (prefix.endsWith("/") && key.startsWith(prefix)));
}

/** Copies the store as of one revision, in the order in which its keys were written. @throws {ATOLL_STORE_UNAVAILABLE} */
export async function copyStore(store: Pick<Store, "list">, signal: AbortSignal): Promise<StoreCopy> {
  const { entries, revision } = await store.list(keys.root, signal);
  const copied = entries.filter(({ key }) => isBackedUp(key)).toSorted((a, b) => a.revision - b.revision);
  return { revision, entries: copied.map(({ key, revision: at, value }) => ({ key, revision: at, value })) };
}
