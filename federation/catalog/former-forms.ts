import { z } from "zod";
import { readStoredResource } from "#federation/model/parse/parse-resource.ts";
import { isKindOfTrust, type Kind, type ResourceKinds } from "#federation/model/resource.ts";
import type { CatalogAccess } from "./catalog-access.ts";
import type { CatalogOp, Stored } from "./collection.ts";
import { jsonBytes, jsonValue } from "./json-codec.ts";
import { keys } from "./keys.ts";
import { StoreCollection, type Codec } from "./store-collection.ts";

/** Former forms that are kept of one resource; the oldest goes first. */
export const formerFormsMax = 10;

/** Resources of one kind that were deleted and whose last form is kept; the one deleted first goes first. */
export const deletedFormsMax = 200;

/** A form that a resource had before another one, or before it was deleted. */
export interface FormerForm<K extends Kind> {
  readonly resource: ResourceKinds[K];
  /** Position of the write that made it. */
  readonly revision: number;
  /** Its resource was deleted with it. */
  readonly isDeleted: boolean;
}

type FormerRecord<K extends Kind> = Omit<FormerForm<K>, "isDeleted">;

/**
 * The forms that the resources of one kind had before, each written in the transaction that ends it. A form has one of
 * `formerFormsMax` places by its generation, so that a write keeps one, drops one and reads none.
 */
export class FormerForms<K extends Kind> {
  readonly #access: CatalogAccess;
  readonly #kind: K;
  readonly #codec: Codec<FormerRecord<K>>;
  readonly #deleted: StoreCollection<FormerRecord<K>>;

  constructor(access: CatalogAccess, kind: K) {
    this.#access = access;
    this.#kind = kind;
    this.#codec = {
      encode: ({ resource, revision }) => jsonBytes({ resource, revision }),
      decode: (bytes) => {
        const { resource, revision } = recordSchema.parse(jsonValue(bytes));
        return { resource: readStoredResource(kind, resource), revision };
      },
    };
    this.#deleted = new StoreCollection(access, keys.deletedForms(kind), this.#codec);
  }

  /** Those of one resource that are kept, the newest first. O(`formerFormsMax`). */
  async list(id: string, signal: AbortSignal): Promise<readonly FormerForm<K>[]> {
    const replaced = (await this.#placesOf(id).list(signal)).items.map(({ value }) => ({ ...value, isDeleted: false }));
    const last = await this.#deleted.get(id, signal);
    return [...replaced, ...(last === undefined ? [] : [{ ...last.value, isDeleted: true }])].toSorted((a, b) => b.revision - a.revision);
  }

  /** Keeps `present`, which another form replaces. */
  replacedOp({ id, value, revision }: Stored<ResourceKinds[K]>): CatalogOp {
    return this.#placesOf(id).putOp(String((value.metadata.generation ?? 0) % formerFormsMax), { resource: value, revision });
  }

  /** Keeps `present`, which is deleted, instead of all the forms that it had before. */
  deletedOps({ id, value, revision }: Stored<ResourceKinds[K]>): readonly CatalogOp[] {
    const places = this.#placesOf(id);
    return [this.#deleted.putOp(id, { resource: value, revision }), ...Array.from({ length: formerFormsMax }, (_, place) => places.removeOp(String(place)))];
  }

  /** Lets go of the last forms of those that were deleted first, beyond `deletedFormsMax`. */
  async dropOldest(signal: AbortSignal): Promise<void> {
    const { items } = await this.#deleted.list(signal);
    const oldest = items.toSorted((a, b) => a.revision - b.revision).slice(0, Math.max(0, items.length - deletedFormsMax));
    for (const { id, revision } of oldest) await this.#deleted.remove(id, { ifRevision: revision }, signal);
  }

  #placesOf(id: string): StoreCollection<FormerRecord<K>> {
    return new StoreCollection(this.#access, `${keys.formerForms(this.#kind)}${id}/`, this.#codec);
  }
}

/** Rights are never put back: what was revoked stays so, and what was approved is approved anew. Imports are derived. */
export function keepsFormerForms(kind: Kind): boolean {
  return !isKindOfTrust(kind) && kind !== "ServiceImport";
}

const recordSchema = z.object({ resource: z.unknown(), revision: z.int().min(0) });
