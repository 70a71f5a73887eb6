import { AtollError } from "#federation/runtime/errors.ts";
import { eachValue, flatMappedValues } from "#federation/runtime/each-value.ts";
import type { Task } from "#federation/runtime/lifecycle.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { inTurns } from "#federation/runtime/turns.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import type { StoreEntry } from "#federation/store/store.ts";
import type { CatalogAccess } from "./catalog-access.ts";
import type { CatalogOp, ChangeBatch, ChangePiece, Collection, CollectionState, CollectionView, Stored, WriteOptions } from "./collection.ts";
import { readInPieces, type StorePiece } from "./store-pieces.ts";

/** How values of a collection become bytes and back. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  /** Throws on anything that is not a value; `id` is the one of its key. */
  decode(bytes: Uint8Array, id: string, revision: number): T;
}

/** Longest id of an entry: several names of at most 253 characters with slashes between them. */
const idLengthMax = 1_024;

/** The entries under one prefix of the store, as values. */
export class StoreCollection<T> implements Collection<T> {
  readonly #access: CatalogAccess;
  readonly #prefix: string;
  readonly #codec: Codec<T>;

  /** `prefix` ends with a slash. */
  constructor(access: CatalogAccess, prefix: string, codec: Codec<T>) {
    this.#access = access;
    this.#prefix = prefix;
    this.#codec = codec;
  }

  async get(id: string, signal: AbortSignal): Promise<Stored<T> | undefined> {
    const entry = await this.#access.store.get(this.key(id), signal);
    return entry === undefined ? undefined : this.read(entry);
  }

  async list(signal: AbortSignal, idPrefix = ""): Promise<{ readonly items: readonly Stored<T>[]; readonly revision: number }> {
    const items: Stored<T>[] = [];
    const listing = await this.#access.store.list(this.#prefix + idPrefix, signal);
    await inTurns(listing.entries, (entry) => {
      const item = this.read(entry);
      if (item !== undefined) items.push(item);
    });
    return { items, revision: listing.revision };
  }

  changes(signal: AbortSignal): AsyncGenerator<ChangeBatch<T>, void, undefined> {
    return wholeBatches(this.pieces(signal));
  }

  pieces(signal: AbortSignal, idPrefix = ""): AsyncGenerator<ChangePiece<T>, void, undefined> {
    return readInPieces(this.#access.store.watch(this.#prefix + idPrefix, signal), (piece) => this.#readPiece(piece));
  }

  view(): CollectionView<T> {
    const state = new WatchedValue<ViewState<T>>({ loaded: false, items: OrderedMap.of(), revision: 0 });
    const run: Task = async (signal) => {
      let next = state.current;
      await eachValue(this.pieces(signal), (piece) => {
        next = applyPiece(next, piece);
        // Whoever derives something of it goes along with what is read first; later nobody sees a part of it, as if the rest were gone.
        if (!piece.more || !state.current.loaded) state.set(next);
      });
    };
    return { state, run };
  }

  async put(id: string, value: T, options: WriteOptions, signal: AbortSignal): Promise<number> {
    return await this.#access.commit([this.putOp(id, value, options)], signal);
  }

  async remove(id: string, options: WriteOptions, signal: AbortSignal): Promise<boolean> {
    const entry = await this.#access.store.get(this.key(id), signal);
    if (entry === undefined) {
      if (options.ifRevision === undefined || options.ifRevision === 0) return false;
      throw new AtollError("ATOLL_STORE_CONFLICT", `deleted by another writer since it was read: ${id}`);
    }
    await this.#access.commit([this.removeOp(id, options)], signal);
    return true;
  }

  putOp(id: string, value: T, options: WriteOptions = {}): CatalogOp {
    return { key: this.key(id), value: this.#codec.encode(value), ...options };
  }

  removeOp(id: string, options: WriteOptions = {}): CatalogOp {
    return { key: this.key(id), ...options };
  }

  /** The key of `id`. @throws {ATOLL_NAME_INVALID} when no key can hold it. */
  key(id: string): string {
    if (id === "" || id.length > idLengthMax || !/^[A-Za-z0-9._/-]+$/.test(id) || id.split("/").includes("")) {
      throw new AtollError("ATOLL_NAME_INVALID", `not an id in the catalog: ${JSON.stringify(id.slice(0, 80))}`);
    }
    return this.#prefix + id;
  }

  /** The value of an entry of this collection, or undefined, with a report, when it cannot be read. */
  read(entry: StoreEntry): Stored<T> | undefined {
    const id = entry.key.slice(this.#prefix.length);
    try {
      return { id, value: this.#codec.decode(entry.value, id, entry.revision), revision: entry.revision };
    } catch (error) {
      this.#access.reportFault({ key: entry.key, revision: entry.revision, error });
      return undefined;
    }
  }

  #readPiece(batch: StorePiece): ChangePiece<T> {
    // The last event of a key is its state; a piece may hold several.
    const puts = new Map<string, Stored<T>>();
    const deletes = new Set<string>();
    for (const event of batch.events) {
      if (event.kind === "delete") {
        const id = event.key.slice(this.#prefix.length);
        puts.delete(id);
        deletes.add(id);
        continue;
      }
      const item = this.read(event.entry);
      if (item === undefined) continue;
      deletes.delete(item.id);
      puts.set(item.id, item);
    }
    return { initial: batch.initial, puts: [...puts.values()], deletes: [...deletes], revision: batch.revision, more: batch.more };
  }
}

/** What belongs together in one batch again, each key by what was said of it last. */
function wholeBatches<T>(pieces: AsyncIterable<ChangePiece<T>>): AsyncGenerator<ChangeBatch<T>, void, undefined> {
  const [puts, deletes] = [new Map<string, Stored<T>>(), new Set<string>()];
  let [initial, isOpen] = [false, false];
  return flatMappedValues(pieces, (piece): readonly ChangeBatch<T>[] => {
    if (!piece.more && !isOpen) return [piece];
    initial ||= piece.initial;
    isOpen = piece.more;
    for (const item of piece.puts) {
      deletes.delete(item.id);
      puts.set(item.id, item);
    }
    for (const id of piece.deletes) {
      puts.delete(id);
      deletes.add(id);
    }
    if (piece.more) return [];
    const whole = { initial, puts: [...puts.values()], deletes: [...deletes], revision: piece.revision };
    puts.clear();
    deletes.clear();
    initial = false;
    return [whole];
  });
}

/** A state whose successor shares with it what did not change. */
interface ViewState<T> extends CollectionState<T> {
  readonly items: OrderedMap<Stored<T>>;
}

function applyPiece<T>(state: ViewState<T>, piece: ChangePiece<T>): ViewState<T> {
  if (state.loaded && !piece.initial && piece.puts.length === 0 && piece.deletes.length === 0) return state;
  let items = piece.initial ? OrderedMap.of<Stored<T>>() : state.items;
  for (const item of piece.puts) items = items.with(item.id, item);
  for (const id of piece.deletes) items = items.without(id);
  return { loaded: state.loaded || !piece.more, items, revision: piece.revision };
}
