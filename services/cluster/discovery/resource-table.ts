import { createHash } from "node:crypto";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import { encodeResource, type EncodedResource } from "#federation/wire/discovery-messages.ts";

/**
 * The resources of one type by name: encoded once for each version, shared by all streams. Replaced whole; a resource
 * that did not change stays the same object, and tables share what they have in common.
 */
export type ResourceTable = OrderedMap<EncodedResource>;

export const emptyTable: ResourceTable = OrderedMap.of<EncodedResource>();

/** How the resources of one type are written. */
export interface ResourceType<T> {
  readonly typeUrl: string;
  readonly encode: (value: T) => Uint8Array;
}

/** `table` with a resource of another value, or without one. A version is a hash of the content, so that a proxy that reconnects is sent nothing it already has. */
export function withResource<T>({ typeUrl, encode }: ResourceType<T>, table: ResourceTable, name: string, value: T | undefined): ResourceTable {
  if (value === undefined) return table.without(name);
  const payload = encode(value);
  const version = createHash("sha256").update(payload).digest("hex").slice(0, 32);
  return table.get(name)?.version === version ? table : table.with(name, encodeResource({ name, version, typeUrl, value: payload }));
}

/**
 * `next` encoded as a table that shares every unchanged resource with `previous`; `previous` itself when nothing
 * changed. O(resources): for small tables.
 */
export function nextTable<T>(type: ResourceType<T>, previous: ResourceTable, next: ReadonlyMap<string, T>): ResourceTable {
  let table = previous;
  for (const name of previous.keys()) if (!next.has(name)) table = table.without(name);
  for (const [name, value] of next) table = withResource(type, table, name, value);
  return table;
}

/** What a stream that has `sent` must be told to be level with `table`, as far as it subscribes. */
export interface TableDelta {
  readonly changed: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/**
 * The difference for one stream. `wanted` undefined is a wildcard subscription; a wanted name that does not exist is
 * reported removed once, so that the subscriber knows (xDS: a removal answers a subscription to nothing).
 */
export function tableDelta(table: ResourceTable, sent: ReadonlyMap<string, string>, wanted: ReadonlySet<string> | undefined): TableDelta {
  const changed: EncodedResource[] = [];
  const removed: string[] = [];
  for (const resource of table.values()) {
    if ((wanted === undefined || wanted.has(resource.name)) && sent.get(resource.name) !== resource.version) changed.push(resource);
  }
  for (const [name, version] of sent) {
    if (version !== absentVersion && !table.has(name)) removed.push(name);
  }
  for (const name of wanted ?? []) {
    if (!table.has(name) && !sent.has(name)) removed.push(name);
  }
  return { changed, removed };
}

/** As `tableDelta`, for a stream that was level with `before`. O(changes log n). */
export function tableDeltaSince(before: ResourceTable, table: ResourceTable, sent: ReadonlyMap<string, string>, wanted: ReadonlySet<string> | undefined): TableDelta {
  const changed: EncodedResource[] = [];
  const removed: string[] = [];
  for (const name of changedKeys(before, table)) {
    const resource = table.get(name);
    const version = sent.get(name);
    if (resource === undefined) {
      if (version !== undefined && version !== absentVersion) removed.push(name);
    } else if ((wanted === undefined || wanted.has(name)) && version !== resource.version) changed.push(resource);
  }
  return { changed, removed };
}

/** The version under which a stream remembers that it has been told a name does not exist. */
export const absentVersion = "absent";
