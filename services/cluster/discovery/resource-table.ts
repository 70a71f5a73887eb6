import { createHash } from "node:crypto";
import { encodeResource, type EncodedResource } from "#federation/wire/discovery-messages.ts";

/**
 * The resources of one type by name: encoded once for each version, shared by all streams. Replaced whole; a resource
 * that did not change stays the same object.
 */
export type ResourceTable = ReadonlyMap<string, EncodedResource>;

export const emptyTable: ResourceTable = new Map();

/**
 * `next` encoded as a table that shares every unchanged resource with `previous`; `previous` itself when nothing
 * changed. A version is a hash of the content, so that a proxy that reconnects is sent nothing it already has.
 */
export function nextTable<T>(typeUrl: string, previous: ResourceTable, next: ReadonlyMap<string, T>, encode: (value: T) => Uint8Array): ResourceTable {
  const table = new Map<string, EncodedResource>();
  let changed = previous.size !== next.size;
  for (const [name, value] of next) {
    const payload = encode(value);
    const version = createHash("sha256").update(payload).digest("hex").slice(0, 32);
    const before = previous.get(name);
    if (before?.version === version) {
      table.set(name, before);
      continue;
    }
    changed = true;
    table.set(name, encodeResource({ name, version, typeUrl, value: payload }));
  }
  return changed ? table : previous;
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

/** The version under which a stream remembers that it has been told a name does not exist. */
export const absentVersion = "absent";
