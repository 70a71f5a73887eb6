import type { Watched } from "#federation/runtime/watched.ts";

/** One stored key. Revisions are positions in the store's whole history and only grow. */
export interface StoreEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the last write of this key. */
  readonly revision: number;
  /** Revision of the write that created it; a deleted and re-created key has a new one. */
  readonly createRevision: number;
}

/** All entries under a prefix, as of `revision`, in key order. */
export interface StoreListing {
  readonly entries: readonly StoreEntry[];
  readonly revision: number;
}

/** What must hold for a transaction to be written. Revision 0 means "the key is absent". */
export type StoreCondition =
  | { readonly kind: "revision"; readonly key: string; readonly revision: number }
  /** The key was last written at this revision, 1 or above, or later. */
  | { readonly kind: "revisionFrom"; readonly key: string; readonly revision: number }
  | { readonly kind: "createRevision"; readonly key: string; readonly revision: number };

export type StoreWrite =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array; readonly lease?: StoreLease }
  | { readonly kind: "delete"; readonly key: string };

/** All writes happen at one revision if every condition holds, or none does. */
export interface StoreTransaction {
  readonly conditions: readonly StoreCondition[];
  readonly writes: readonly StoreWrite[];
}

export type StoreCommit = { readonly kind: "committed"; readonly revision: number } | { readonly kind: "conflict" };

export type StoreEvent =
  | { readonly kind: "put"; readonly entry: StoreEntry }
  | { readonly kind: "delete"; readonly key: string; readonly revision: number };

/**
 * Events up to and including `revision`, in order. The first batches of a watch, up to the first without `more`, hold every entry as a put,
 * and of them the first one is `initial`; later ones hold changes only, also after the adapter had to list anew (it sends the difference).
 */
export interface StoreBatch {
  readonly initial: boolean;
  readonly events: readonly StoreEvent[];
  readonly revision: number;
  /** Further batches follow without which this one is a part of a listing: what it does not hold may be there all the same. */
  readonly more?: true;
}

/** Keys written with a lease vanish when its holder stops renewing it. Renewal is the adapter's work. */
export interface StoreLease extends AsyncDisposable {
  readonly id: string;
  /** Aborts when the lease has ended: the store has said so, or it was given up. Its keys are gone. */
  readonly lost: AbortSignal;
  /**
   * False while no renewal that was sent within the TTL has been answered: the keys may be gone, and another may have taken their place. True
   * again once the store has confirmed the lease, with which its keys have lived through.
   */
  readonly certain: Watched<boolean>;
}

/** Why a watch does not follow before anything has come of it or gone wrong. */
export const notReadYet = "it has not been read yet";

/** How a watch says whether it follows its keys, to whoever keeps account of that. */
export interface FollowReport {
  /** What was read may be old from now on, if it was not so before: reading has begun, broke off, or did not come about, for `reason`. */
  lost(reason: string): void;
  /** A part more of what there is has been read. */
  reads(): void;
  /** All has been read, and what is written from now on comes by itself. */
  follows(): void;
}

/**
 * Where a plane keeps its truth. Every operation answers within its adapter's bound or throws
 * ATOLL_STORE_UNAVAILABLE, or, of a write that an engine without room refuses, ATOLL_STORE_UNWRITABLE; `commit` acknowledges only what is durable.
 */
export interface Store extends AsyncDisposable {
  get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined>;
  list(prefix: string, signal: AbortSignal): Promise<StoreListing>;
  /** @throws {ATOLL_STORE_UNAVAILABLE} when the outcome is not known to be durable. */
  commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit>;
  /** Follows `prefix` until `signal` aborts; survives restarts, compaction and half-open links of the engine, and reports while it does not follow. */
  watch(prefix: string, signal: AbortSignal, report?: FollowReport): AsyncIterable<StoreBatch>;
  grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease>;
}
