import type { Relationship } from "#federation/model/resource.ts";
import type { Present, ResourceBackend } from "./resource-routes.ts";
import { shownRelationship, storedRelationship, type FoundStanding } from "./relationship-conditions.ts";

interface Shown {
  readonly find: (relationship: Relationship) => FoundStanding;
  readonly nowMs: () => number;
}

type Readable = Pick<ResourceBackend<"Relationship">, "get" | "list" | "changes">;

/** Relationships to read from, each as `shownRelationship`: what time alone changes of one is not told to whoever follows them. */
export function readableRelationships(backend: Readable, { find, nowMs }: Shown): Readable {
  const show = (relationship: Relationship): Relationship => shownRelationship(relationship, find(relationship), nowMs());
  const showItem = <Item extends { readonly value: Relationship }>(item: Item): Item => ({ ...item, value: show(item.value) });
  return {
    async get(id, signal) {
      const found = await backend.get(id, signal);
      return found === undefined ? undefined : showItem(found);
    },
    async list(signal) {
      const { items, revision } = await backend.list(signal);
      return { items: items.map(showItem), revision };
    },
    async *changes(signal) {
      for await (const batch of backend.changes(signal)) yield { ...batch, puts: batch.puts.map(showItem) };
    },
  };
}

/** `backend`, whose answers show relationships so; nothing of what is only shown is ever written. */
export function shownRelationships(backend: ResourceBackend<"Relationship">, shown: Shown): ResourceBackend<"Relationship"> {
  const stored = (present: Present<"Relationship">): Present<"Relationship"> => ({ ...present, value: storedRelationship(present.value) });
  return {
    ...backend,
    ...readableRelationships(backend, shown),
    async apply(resource, { over, ...options }, signal) {
      const asStored = over === undefined ? {} : { over: over === "nothing" ? over : stored(over) };
      const applied = await backend.apply(resource, { ...options, ...asStored }, signal);
      return { ...applied, resource: shownRelationship(applied.resource, shown.find(applied.resource), shown.nowMs()) };
    },
  };
}
