import { AtollError } from "#federation/runtime/errors.ts";
import { mappedValues } from "#federation/runtime/each-value.ts";
import type { Store, StoreBatch, StoreCommit, StoreCondition, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "#federation/store/store.ts";

/** Who remembers a store's history for a guard. */
export interface HistoryKeeper {
  /** Whether the store may be written now. */
  readonly isSound: boolean;
  /** The key that each write through a guard writes as well. */
  readonly trailKey: string;
  /** Position of the last of those writes that was acknowledged; 0 before the first. */
  readonly writtenAt: number;
  /** Where that key has begun; undefined until it was seen. */
  readonly trailBegan: number | undefined;
  /** Hears of each of them before its writer does. */
  written(revision: number): void;
  /** Hears of an answer from before what had been answered already. */
  regressed(found: number, seen: number): void;
  /** Hears that the store does not hold the last of them, or that its key has begun elsewhere; `found` is the last one that it holds. */
  trailLost(found: number): void;
}

type Trail = Pick<HistoryKeeper, "trailKey" | "writtenAt" | "trailBegan">;

/** What a trail's key holds: nothing is read there but when it was written. */
const trailValue = Buffer.from("{}");

/**
 * A store whose history may only go on. An answer at a position that an earlier answer had passed is an error and not a
 * value: an engine was restored, or exchanged, under a process that runs. While the store is not sound nothing is written.
 *
 * Each write leaves a trail, a key that it writes as well, and asks for the last one: a store that has lost an acknowledged write refuses
 * the next one by itself, wherever its positions are, before anybody has noticed. And it asks where that key has begun: one that was filled
 * anew key by key has it where it was copied to, however near to the last one that is.
 *
 * Positions are compared with those that were known when the question went out, since answers overtake each other; a
 * watch, which lags by nature, with its own.
 */
export class HistoryGuard implements Store {
  readonly #store: Store;
  readonly #keeper: HistoryKeeper;
  #seen = 0;

  constructor(store: Store, keeper: HistoryKeeper) {
    this.#store = store;
    this.#keeper = keeper;
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    const entry = await this.#store.get(key, signal);
    this.#seen = Math.max(this.#seen, entry?.revision ?? 0);
    return entry;
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    const seen = this.#seen;
    const listing = await this.#store.list(prefix, signal);
    this.#answered(listing.revision, seen);
    return listing;
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    if (!this.#keeper.isSound) throw storeBehind("nothing is written");
    const seen = this.#seen;
    const { trailKey, writtenAt, trailBegan } = this.#keeper;
    const trail = { trailKey, writtenAt, trailBegan };
    const outcome = await this.#store.commit(withTrail(transaction, trail), signal);
    if (outcome.kind === "conflict") {
      await this.#checkTrail(trail, signal);
      return outcome;
    }
    this.#answered(outcome.revision, seen);
    if (transaction.writes.length > 0) this.#keeper.written(outcome.revision);
    return outcome;
  }

  watch(prefix: string, signal: AbortSignal): AsyncGenerator<StoreBatch, void, undefined> {
    let seen = 0;
    return mappedValues(this.#store.watch(prefix, signal), (batch) => {
      this.#answered(batch.revision, seen);
      seen = batch.revision;
      return batch;
    });
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    return await this.#store.grantLease(ttlMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  /** Whether it was the trail that a transaction failed over. */
  async #checkTrail({ trailKey, writtenAt, trailBegan }: Trail, signal: AbortSignal): Promise<void> {
    if (writtenAt === 0) return;
    const { revision: found = 0, createRevision: began = 0 } = (await this.#store.get(trailKey, signal)) ?? {};
    if (found >= writtenAt && (trailBegan === undefined || began === trailBegan)) return;
    this.#keeper.trailLost(found);
    throw storeBehind(found < writtenAt ? `its last write of this process is at position ${found}, and one at ${writtenAt} was acknowledged` : `the first write of this process is at position ${began}, and was at ${trailBegan}`);
  }

  #answered(revision: number, seen: number): void {
    if (revision < seen) {
      this.#keeper.regressed(revision, seen);
      throw storeBehind(`it answers from position ${revision}, after ${seen}`);
    }
    this.#seen = Math.max(this.#seen, revision);
  }
}

function withTrail({ conditions, writes }: StoreTransaction, { trailKey: key, writtenAt, trailBegan }: Trail): StoreTransaction {
  const begins: readonly StoreCondition[] = trailBegan === undefined ? [] : [{ kind: "createRevision", key, revision: trailBegan }];
  return {
    conditions: writtenAt === 0 ? conditions : [...conditions, { kind: "revisionFrom", key, revision: writtenAt }, ...begins],
    writes: writes.length === 0 ? writes : [...writes, { kind: "put", key, value: trailValue }],
  };
}

function storeBehind(detail: string): AtollError {
  return new AtollError("ATOLL_STORE_BEHIND", `this plane's store is behind what was witnessed of it: ${detail}`);
}
