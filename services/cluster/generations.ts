import type { Stored } from "#federation/catalog/collection.ts";
import { resourceKey, type ServiceImport } from "#federation/model/resource.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";

/** What a cluster's state is made of, as far as it has a position. */
export interface PositionedParts {
  readonly federated: ReadonlyMap<string, Stored<unknown>>;
  readonly services: ReadonlyMap<string, Stored<unknown>>;
  readonly exports: ReadonlyMap<string, Stored<unknown>>;
  readonly imports: ReadonlyMap<string, ServiceImport>;
  /** By `resourceKey`. */
  readonly replicated: ReadonlyMap<string, Generation>;
  /** By trust domain. */
  readonly bundles: ReadonlyMap<string, TrustBundle>;
}

/** By what the bundle of `trustDomain` is known among positions. */
export function bundleKey(trustDomain: string): string {
  return `Bundle/${trustDomain}`;
}

/** The position of a bundle with `sequence`, or of a later one: signers number theirs in one row. */
export function bundleGeneration(sequence: number): Generation {
  return { epoch: 0, revision: sequence };
}

const none: PositionedParts = { federated: new Map(), services: new Map(), exports: new Map(), imports: new Map(), replicated: new Map(), bundles: new Map() };

/** The positions of all that a cluster's state is made of, by `resourceKey`, followed through its successive parts. */
export class Generations {
  /** Of the own store. */
  readonly #epoch: number;
  #parts = none;
  #all = OrderedMap.of<Generation>();

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** O(changes log n). */
  next(parts: PositionedParts): OrderedMap<Generation> {
    const { federated, services, exports, imports, replicated, bundles } = this.#parts;
    const stored = ({ revision }: Stored<unknown>): Generation => ({ epoch: this.#epoch, revision });
    this.#take((id) => resourceKey("FederatedTrustDomain", id), federated, parts.federated, stored);
    this.#take((id) => resourceKey("Service", id), services, parts.services, stored);
    this.#take((id) => resourceKey("ServiceExport", id), exports, parts.exports, stored);
    this.#take((id) => resourceKey("ServiceImport", id), imports, parts.imports, ({ spec }) => spec.origin);
    this.#take((key) => key, replicated, parts.replicated, (generation) => generation);
    this.#take(bundleKey, bundles, parts.bundles, ({ sequence }) => bundleGeneration(sequence));
    this.#parts = parts;
    return this.#all;
  }

  #take<T>(keyOf: (id: string) => string, before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>, generationOf: (value: T) => Generation): void {
    for (const id of changedKeys(before, after)) {
      const key = keyOf(id);
      const value = after.get(id);
      this.#all = value === undefined ? this.#all.without(key) : this.#all.with(key, generationOf(value));
    }
  }
}
