import { AtollError } from "#federation/runtime/errors.ts";
import type { FollowReport, Store, StoreBatch, StoreCommit, StoreEntry, StoreLease, StoreListing, StoreTransaction } from "#federation/store/store.ts";

/** What ails a store: nothing of it answers; it answers and takes no writes; or it does what it is told, and whoever told it does not hear so. */
export type Trouble = "away" | "full" | "unanswered";

/** A store that fails when told to. */
export class TroubledStore implements Store {
  readonly #store: Store;
  trouble: Trouble | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    this.#demandAnswers();
    return await this.#store.get(key, signal);
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    this.#demandAnswers();
    return await this.#store.list(prefix, signal);
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    this.#demandAnswers();
    if (this.trouble === "full") throw fails("there is no room");
    const commit = await this.#store.commit(transaction, signal);
    if (this.trouble !== undefined) throw fails("the answer was lost");
    return commit;
  }

  /** Goes on: a watch of an engine that is away is silent, and this one is of an engine that has nothing to say. */
  watch(prefix: string, signal: AbortSignal, report?: FollowReport): AsyncIterable<StoreBatch> {
    return this.#store.watch(prefix, signal, report);
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    this.#demandAnswers();
    return await this.#store.grantLease(ttlMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  #demandAnswers(): void {
    if (this.trouble === "away") throw fails("nothing answers");
  }
}

function fails(reason: string): AtollError {
  return new AtollError("ATOLL_STORE_UNAVAILABLE", reason);
}
