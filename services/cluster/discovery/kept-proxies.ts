import { createHash } from "node:crypto";
import type { CatalogOp, Collection } from "#federation/catalog/collection.ts";
import type { ProxyRecord } from "#federation/catalog/records.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { commitInParts, keepFollowing } from "./keep-following.ts";
import { proxyKey } from "./proxy-roll.ts";

export interface KeptProxiesOptions {
  readonly collection: Collection<ProxyRecord>;
  readonly commit: (ops: readonly CatalogOp[], signal: AbortSignal) => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A cluster's roll of proxies, kept in its plane's store: one that fell silent is not forgotten because the plane starts again. */
export class KeptProxies {
  readonly #options: KeptProxiesOptions;
  #kept = OrderedMap.of<ProxyRecord>();

  constructor(options: KeptProxiesOptions) {
    this.#options = options;
  }

  /** What was kept, by key. */
  async load(signal: AbortSignal): Promise<OrderedMap<ProxyRecord>> {
    const { items } = await this.#options.collection.list(signal);
    this.#kept = OrderedMap.of(items.map(({ value }) => [proxyKey(value), value]));
    return this.#kept;
  }

  /** Keeps what `known` says, until `signal` aborts. */
  async follow(known: Watched<OrderedMap<ProxyRecord>>, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    await keepFollowing(known, { keep: async (now, inner) => await this.#keep(now, inner), complaint: "Which proxies are connected could not be stored; it is tried again.", clock, logger }, signal);
  }

  async #keep(now: OrderedMap<ProxyRecord>, signal: AbortSignal): Promise<void> {
    const { collection, commit } = this.#options;
    const ops = changedKeys(this.#kept, now).map((key) => {
      const record = now.get(key);
      return record === undefined ? collection.removeOp(idOf(key)) : collection.putOp(idOf(key), record);
    });
    await commitInParts(ops, commit, signal);
    this.#kept = now;
  }
}

/** Identities and the names that proxies give themselves make no key of a store. */
function idOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
