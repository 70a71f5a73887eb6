import type { Stored } from "#federation/catalog/collection.ts";
import { resourceKey, type Kind, type ServiceImport } from "#federation/model/resource.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";

/** What a cluster's state is made of, as far as it has a position. */
export interface PositionedParts {
  readonly federated: ReadonlyMap<string, Stored<unknown>>;
  readonly services: ReadonlyMap<string, Stored<unknown>>;
  readonly exports: ReadonlyMap<string, Stored<unknown>>;
  readonly imports: ReadonlyMap<string, ServiceImport>;
  /** By `resourceKey`. */
  readonly replicated: ReadonlyMap<string, Generation>;
}

const none: PositionedParts = { federated: new Map(), services: new Map(), exports: new Map(), imports: new Map(), replicated: new Map() };

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
    const { federated, services, exports, imports, replicated } = this.#parts;
    const stored = ({ revision }: Stored<unknown>): Generation => ({ epoch: this.#epoch, revision });
    this.#take("FederatedTrustDomain", federated, parts.federated, stored);
    this.#take("Service", services, parts.services, stored);
    this.#take("ServiceExport", exports, parts.exports, stored);
    this.#take("ServiceImport", imports, parts.imports, ({ spec }) => spec.origin);
    this.#take(undefined, replicated, parts.replicated, (generation) => generation);
    this.#parts = parts;
    return this.#all;
  }

  #take<T>(kind: Kind | undefined, before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>, generationOf: (value: T) => Generation): void {
    for (const id of changedKeys(before, after)) {
      const key = kind === undefined ? id : resourceKey(kind, id);
      const value = after.get(id);
      this.#all = value === undefined ? this.#all.without(key) : this.#all.with(key, generationOf(value));
    }
  }
}
