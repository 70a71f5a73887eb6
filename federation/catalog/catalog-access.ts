import { AtollError } from "#federation/runtime/errors.ts";
import type { Store, StoreCondition, StoreWrite } from "#federation/store/store.ts";
import type { CatalogOp } from "./collection.ts";

/** A value of the store that could not be read as what its key says; it was left out. */
export interface CatalogFault {
  readonly key: string;
  readonly revision: number;
  readonly error: unknown;
}

/** Options of a catalog. */
export interface CatalogOptions {
  readonly store: Store;
  /** Hears of every value that could not be read. Must not throw. */
  readonly onFault: (fault: CatalogFault) => void;
  /** Conditions added to every transaction: the global leader's fence, which compares the leader key's create revision. */
  readonly fence?: () => readonly StoreCondition[];
}

/** Most writes in one transaction: etcd refuses more than 128 operations unless told otherwise (its `--max-txn-ops`). */
export const transactionOpsMax = 120;

/** The store as the collections of one catalog use it: every write is fenced, a refused one is an error. */
export class CatalogAccess {
  readonly store: Store;
  readonly #options: CatalogOptions;

  constructor(options: CatalogOptions) {
    this.store = options.store;
    this.#options = options;
  }

  reportFault(fault: CatalogFault): void {
    this.#options.onFault(fault);
  }

  /**
   * Writes all of `ops` at one revision, which is the answer.
   * @throws {ATOLL_STORE_CONFLICT} when an `ifRevision` or the fence does not hold; nothing was written.
   * @throws {ATOLL_STORE_UNAVAILABLE} when the outcome is not known to be durable.
   */
  async commit(ops: readonly CatalogOp[], signal: AbortSignal): Promise<number> {
    if (ops.length > transactionOpsMax) {
      throw new AtollError("ATOLL_STORE_FULL", `a transaction of ${ops.length} writes; at most ${transactionOpsMax} fit`);
    }
    const conditions: StoreCondition[] = [...(this.#options.fence?.() ?? [])];
    const writes: StoreWrite[] = [];
    for (const { key, value, ifRevision } of ops) {
      if (ifRevision !== undefined) conditions.push({ kind: "revision", key, revision: ifRevision });
      writes.push(value === undefined ? { kind: "delete", key } : { kind: "put", key, value });
    }
    const outcome = await this.store.commit({ conditions, writes }, signal);
    if (outcome.kind === "committed") return outcome.revision;
    const keys = ops.map((op) => op.key).join(", ");
    throw new AtollError("ATOLL_STORE_CONFLICT", `changed by another writer since it was read: ${keys}`);
  }
}
