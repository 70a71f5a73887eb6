import { AtollError } from "#federation/runtime/errors.ts";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";
import { transactionOpsMax, type CatalogAccess } from "./catalog-access.ts";
import type { CatalogOp, Stored } from "./collection.ts";
import { keys } from "./keys.ts";
import { recordCodecs } from "./record-codecs.ts";
import type { ProvisioningIndexRecord } from "./records.ts";
import { StoreCollection } from "./store-collection.ts";

/** So old the index is made anew of the tokens: a replica of an earlier version writes tokens that it does not know. */
const remakeMs = 86_400_000;

/** There is one in a store. */
const indexId = "all";

/** Tokens that one creation removes: with the new token and the index they fit a transaction. */
const removedMax = transactionOpsMax - 2;

/** What one creation has to write, and which tokens go with it. */
export interface IndexChange {
  readonly op: CatalogOp;
  /** Ids of tokens that are over. */
  readonly removed: readonly string[];
}

/**
 * The ends of all provisioning tokens in one record of a few kilobytes: making a token costs one read of it and one transaction,
 * however many there are and however often they were used. The record is compared with each write, so that the bound on their number
 * holds over replicas.
 */
export class ProvisioningIndex {
  readonly #access: CatalogAccess;
  readonly #collection: StoreCollection<ProvisioningIndexRecord>;

  constructor(access: CatalogAccess) {
    this.#access = access;
    this.#collection = new StoreCollection(access, keys.provisioningIndex, recordCodecs.provisioningIndex);
  }

  /**
   * The index with one more token and without those that are over. `tokens` reads all tokens, and is asked when there is no index that
   * could be relied on.
   * @throws {ATOLL_STORE_FULL} beyond `provisioningLimits.tokensMax`.
   */
  async adding(
    token: { readonly id: string; readonly expiresAtMs: number },
    tokens: () => Promise<readonly { readonly id: string; readonly expiresAtMs: number }[]>,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<IndexChange> {
    const entry = await this.#access.store.get(this.#collection.key(indexId), signal);
    // One that cannot be read is as none, and is written over.
    const stored = entry === undefined ? undefined : this.#collection.read(entry);
    const { expiresAtMs, madeAtMs } = isReliable(stored, nowMs) ? stored.value : { expiresAtMs: Object.fromEntries((await tokens()).map((one) => [one.id, one.expiresAtMs])), madeAtMs: nowMs };
    const entries = Object.entries(expiresAtMs);
    const removed = entries.filter(([, atMs]) => atMs <= nowMs).map(([id]) => id).slice(0, removedMax);
    const kept = entries.filter(([id]) => !removed.includes(id));
    if (kept.filter(([, atMs]) => atMs > nowMs).length >= provisioningLimits.tokensMax) throw new AtollError("ATOLL_STORE_FULL", `${provisioningLimits.tokensMax} provisioning tokens have not expired yet`);
    const next = { expiresAtMs: { ...Object.fromEntries(kept), [token.id]: token.expiresAtMs }, madeAtMs };
    return { op: this.#collection.putOp(indexId, next, { ifRevision: entry?.revision ?? 0 }), removed };
  }
}

/** A clock that went back does not keep an index for longer. */
function isReliable(stored: Stored<ProvisioningIndexRecord> | undefined, nowMs: number): stored is Stored<ProvisioningIndexRecord> {
  return stored !== undefined && Math.abs(nowMs - stored.value.madeAtMs) < remakeMs;
}
