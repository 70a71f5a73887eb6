import type { Kind, ResourceKinds } from "#federation/model/resource.ts";
import type { Present, ResourceBackend } from "./resource-routes.ts";

type Readable<K extends Kind> = Pick<ResourceBackend<K>, "get" | "list" | "changes">;
type Show<K extends Kind> = (resource: ResourceKinds[K]) => ResourceKinds[K];

/** Resources to read from, each as `show` has it: what else than a write changes of one is not told to whoever follows them. */
export function readableShown<K extends Kind>(backend: Readable<K>, show: Show<K>): Readable<K> {
  const showItem = <Item extends { readonly value: ResourceKinds[K] }>(item: Item): Item => ({ ...item, value: show(item.value) });
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

/** `backend`, whose answers show resources so; `stored` takes away what is only shown, of which nothing is ever written. */
export function shownBackend<K extends Kind>(backend: ResourceBackend<K>, { show, stored }: { readonly show: Show<K>; readonly stored: Show<K> }): ResourceBackend<K> {
  const presentOf = (present: Present<K>): Present<K> => ({ ...present, value: stored(present.value) });
  return {
    ...backend,
    ...readableShown(backend, show),
    async apply(resource, { over, ...options }, signal) {
      const asStored = over === undefined ? {} : { over: over === "nothing" ? over : presentOf(over) };
      const applied = await backend.apply(resource, { ...options, ...asStored }, signal);
      return { ...applied, resource: show(applied.resource) };
    },
  };
}
