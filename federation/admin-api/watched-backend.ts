import type { Kind, ResourceKinds } from "#federation/model/resource.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { ResourceBackend } from "./resource-routes.ts";

/**
 * A backend to read from, over resources that are held in memory by id, e.g. what a cluster has learned of others.
 * Changes are told by comparing each state with the one before: a resource that is the same object has not changed.
 */
export function createWatchedBackend<K extends Kind>(watched: Watched<ReadonlyMap<string, ResourceKinds[K]>>): Pick<ResourceBackend<K>, "get" | "list" | "changes"> {
  return {
    async get(id) {
      const value = watched.current.get(id);
      return value === undefined ? undefined : { value, revision: value.metadata.revision ?? 0 };
    },
    async list() {
      const items = [...watched.current].map(([id, value]) => ({ id, value }));
      return { items, revision: highestRevision(watched.current) };
    },
    async *changes(signal) {
      let before: ReadonlyMap<string, ResourceKinds[K]> | undefined;
      for await (const now of watched.changes(signal)) {
        const puts = [...now].filter(([id, value]) => before?.get(id) !== value).map(([id, value]) => ({ id, value }));
        const deletes = [...(before?.keys() ?? [])].filter((id) => !now.has(id));
        yield { initial: before === undefined, puts, deletes, revision: highestRevision(now) };
        before = now;
      }
    },
  };
}

function highestRevision(resources: ReadonlyMap<string, ResourceKinds[Kind]>): number {
  let highest = 0;
  for (const { metadata } of resources.values()) highest = Math.max(highest, metadata.revision ?? 0);
  return highest;
}
