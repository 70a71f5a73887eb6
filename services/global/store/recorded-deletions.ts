import type { ResourceBackend } from "#federation/admin-api/resource-routes.ts";
import type { globalKinds } from "#federation/admin-api/plane-routes.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { Clock } from "#federation/runtime/clock.ts";

/** Deletions remembered, so that they reach those who were away; older ones go first. */
export const deletionsMax = 1_000;

/** How often a deletion without `ifRevision` is tried when others keep writing between its read and its write. */
const removeTriesMax = 5;

/**
 * The resources of one kind, of which each deletion is recorded in the transaction that makes it: clusters are sent it as the global
 * plane's signed word, and need not infer it from an offer that lacks the resource, as after the loss of a store.
 */
export function recordedDeletions<K extends (typeof globalKinds)[number]>(kind: K, catalog: Catalog, clock: Clock): ResourceBackend<K> {
  const collection = catalog.resources(kind);
  const recordId = (id: string): string => `${kind}/${id}`;
  const removeOnce = async (id: string, ifRevision: number | undefined, signal: AbortSignal): Promise<boolean> => {
    const present = await collection.get(id, signal);
    // One that is not there, or cannot be read, has nothing to be recorded.
    if (present === undefined || (ifRevision !== undefined && ifRevision !== present.revision)) return await collection.remove(id, ifRevision === undefined ? {} : { ifRevision }, signal);
    await catalog.commit([...collection.deletionOps(present, { ifRevision: present.revision }), catalog.deletions.putOp(recordId(id), { kind, id, deletedAtMs: Math.floor(clock.nowMs()) })], signal);
    await dropOldDeletions(catalog, signal);
    await collection.dropOldForms(signal);
    return true;
  };
  return {
    get: async (id, signal) => await collection.get(id, signal),
    list: async (signal) => await collection.list(signal),
    changes: (signal) => collection.changes(signal),
    apply: async (resource, options, signal) => await collection.apply(resource, options, signal),
    async remove(id, { ifRevision }, signal) {
      for (let tries = 1; ; tries++) {
        try {
          return await removeOnce(id, ifRevision, signal);
        } catch (error) {
          const mayRetry = ifRevision === undefined && tries < removeTriesMax && isAtollError(error, "ATOLL_STORE_CONFLICT");
          if (!mayRetry) throw error;
        }
      }
    },
  };
}

async function dropOldDeletions({ deletions }: Catalog, signal: AbortSignal): Promise<void> {
  const { items } = await deletions.list(signal);
  const oldest = items.toSorted((a, b) => a.revision - b.revision).slice(0, Math.max(0, items.length - deletionsMax));
  for (const { id, revision } of oldest) await deletions.remove(id, { ifRevision: revision }, signal);
}
