import type { StoreReconciler } from "#federation/admin-api/store-operations.ts";
import { globalKinds } from "#federation/admin-api/plane-routes.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { readPeerResource } from "#federation/model/parse/parse-resource.ts";
import { compareGenerations, globalOrigin, objectId } from "#federation/model/replicated-object.ts";
import { resourceId } from "#federation/model/resource.ts";

type GlobalKind = (typeof globalKinds)[number];

/** Kinds that give rights. They only ever go forward: what was narrowed stays narrow, what was revoked stays revoked, whatever is decided. */
const rightsKinds: readonly GlobalKind[] = ["TrustDomain", "Cluster", "Relationship"];

/**
 * Reads the global plane's own resources back from what clusters hold of them. `epoch` is the one that is written in the store, to
 * which the revisions of its resources belong; `catalog` writes whatever the store's standing.
 */
export function globalReconciler(catalog: Catalog, epoch: number): StoreReconciler {
  /** The position in the store that a restored backup was made of, where the resource is still the restored one. */
  const stoodAt = async (revision: number, id: string, signal: AbortSignal): Promise<number> => {
    const restored = await catalog.restored.get(id, signal);
    return restored?.revision === revision && restored.value.epoch === epoch ? restored.value.revision : revision;
  };
  return {
    async take({ payload }, decision, signal) {
      const kind = globalKinds.find((one) => one === payload.kind);
      // A deletion needs no taking: what nobody holds is dropped.
      if (kind === undefined || payload.tombstone || (decision === "keep" && !rightsKinds.includes(kind))) return false;
      const collection = catalog.resources(kind);
      const resource = readPeerResource(kind, payload.value);
      const stored = await collection.get(resourceId(resource.metadata), signal);
      if (stored !== undefined && compareGenerations(payload.generation, { epoch, revision: await stoodAt(stored.revision, `${kind}/${stored.id}`, signal) }) <= 0) return false;
      await catalog.commit([collection.putOp(resource, { ifRevision: stored?.revision ?? 0 })], signal);
      return true;
    },
    async drop(held, decision, signal) {
      const dropped: string[] = [];
      // What others refer to goes last.
      for (const kind of [...(decision === "keep" ? rightsKinds : globalKinds)].toReversed()) {
        const { items } = await catalog.resources(kind).list(signal);
        for (const { id, revision } of items) {
          if (held.has(objectId({ origin: globalOrigin, kind, key: id }))) continue;
          await catalog.resources(kind).remove(id, { ifRevision: revision }, signal);
          dropped.push(`${kind} ${id}`);
        }
      }
      return dropped;
    },
  };
}
