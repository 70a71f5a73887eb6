import type { Kind, ResourceKinds } from "#federation/model/resource.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { ResourceBackend } from "./resource-routes.ts";

/** What a plane holds in memory of the resources of one kind. */
export interface LastKnown<K extends Kind> {
  /** The store is known not to answer: it is not asked. */
  readonly isAway: () => boolean;
  readonly state: {
    readonly current: {
      /** False until all have been read once. */
      readonly loaded: boolean;
      readonly items: ReadonlyMap<string, { readonly id: string; readonly value: ResourceKinds[K]; readonly revision: number }>;
      readonly revision: number;
    };
  };
}

/** `backend`, whose reads are answered from what is held in memory while its store is away. Writes go to the store and are refused by it then. */
export function withLastKnown<K extends Kind>(backend: ResourceBackend<K>, { isAway, state }: LastKnown<K>): ResourceBackend<K> {
  const read = async <T>(fromStore: () => Promise<T>, fromMemory: () => T): Promise<T> => {
    if (isAway() && state.current.loaded) return fromMemory();
    try {
      return await fromStore();
    } catch (error) {
      if (!isAtollError(error, "ATOLL_STORE_UNAVAILABLE") || !state.current.loaded) throw error;
      return fromMemory();
    }
  };
  return {
    get: async (id, signal) =>
      await read(
        async () => await backend.get(id, signal),
        () => state.current.items.get(id),
      ),
    // What a store that is away holds is nobody's to write over.
    known: (id) => (isAway() || !state.current.loaded ? undefined : state.current.items.get(id)),
    list: async (signal) =>
      await read(
        async () => await backend.list(signal),
        () => ({ items: [...state.current.items.values()], revision: state.current.revision }),
      ),
    changes: (signal) => backend.changes(signal),
    apply: async (resource, options, signal) => await backend.apply(resource, options, signal),
    remove: async (id, options, signal) => await backend.remove(id, options, signal),
  };
}
