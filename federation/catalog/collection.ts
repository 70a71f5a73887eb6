import type { Task } from "#federation/runtime/lifecycle.ts";
import type { Watched } from "#federation/runtime/watched.ts";

/** A decoded value with its position in the store. */
export interface Stored<T> {
  readonly id: string;
  readonly value: T;
  readonly revision: number;
}

/** What a write asks of the value it replaces: its revision, or 0 for "there is none". */
export interface WriteOptions {
  readonly ifRevision?: number;
}

/** What changed, in the order of the store; the first batch of a watch is `initial` and holds everything as puts. */
export interface ChangeBatch<T> {
  readonly initial: boolean;
  readonly puts: readonly Stored<T>[];
  /** Ids that are gone. One may also stand here that was never put. */
  readonly deletes: readonly string[];
  readonly revision: number;
}

/** A part of what changed at once, small enough for one turn of the event loop; only the first one of an `initial` batch is `initial`. What is read first may change while it is told: of a key, what is said last counts. */
export interface ChangePiece<T> extends ChangeBatch<T> {
  /** Further pieces of it follow. */
  readonly more: boolean;
}

/** The whole of a collection as of `revision`. */
export interface CollectionState<T> {
  /** False until the first listing has been read: what is missing then means nothing. */
  readonly loaded: boolean;
  readonly items: ReadonlyMap<string, Stored<T>>;
  readonly revision: number;
}

/** A collection kept in memory while `run` runs (under `runTasks`). */
export interface CollectionView<T> {
  readonly state: Watched<CollectionState<T>>;
  readonly run: Task;
}

/** Reading side of one collection of the store. A value that cannot be read is reported once per read and left out. */
export interface ReadableCollection<T> {
  get(id: string, signal: AbortSignal): Promise<Stored<T> | undefined>;
  /** All of it, or those whose ids begin with `idPrefix` alone. O(what is read). */
  list(signal: AbortSignal, idPrefix?: string): Promise<{ readonly items: readonly Stored<T>[]; readonly revision: number }>;
  /** Follows the collection until `signal` aborts. A put whose value cannot be read leaves the earlier value standing. */
  changes(signal: AbortSignal): AsyncIterable<ChangeBatch<T>>;
  /** Its states share what did not change: a batch costs O(changes log entries), and `changedKeys` tells them apart at the same price. */
  view(): CollectionView<T>;
}

/** A collection whose values are written as they are. */
export interface Collection<T> extends ReadableCollection<T> {
  /** As `changes`, for collections of many entries: of all of it, or of those whose ids begin with `idPrefix`. */
  pieces(signal: AbortSignal, idPrefix?: string): AsyncIterable<ChangePiece<T>>;
  /** Writes and answers the new revision. @throws {ATOLL_STORE_CONFLICT} when `ifRevision` does not hold. */
  put(id: string, value: T, options: WriteOptions, signal: AbortSignal): Promise<number>;
  /** False when there was nothing. @throws {ATOLL_STORE_CONFLICT} when `ifRevision` does not hold. */
  remove(id: string, options: WriteOptions, signal: AbortSignal): Promise<boolean>;
  /** The same writes as parts of a transaction of several collections; see `Catalog.commit`. */
  putOp(id: string, value: T, options?: WriteOptions): CatalogOp;
  removeOp(id: string, options?: WriteOptions): CatalogOp;
}

/** One write of a transaction, made by a collection's `putOp` or `removeOp`. */
export interface CatalogOp {
  readonly key: string;
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array;
  readonly ifRevision?: number;
}
