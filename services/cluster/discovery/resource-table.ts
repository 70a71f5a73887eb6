import { createHash } from "node:crypto";

/** One resource as it goes over the wire: encoded once for each version, shared by all streams. */
export interface VersionedResource {
  readonly name: string;
  /** A hash of the content, so that a proxy that reconnects is sent nothing it already has. */
  readonly version: string;
  readonly payload: Uint8Array;
}

/** The resources of one type. Replaced whole; a resource that did not change stays the same object. */
export type ResourceTable = ReadonlyMap<string, VersionedResource>;

export const emptyTable: ResourceTable = new Map();

/** `next` encoded as a table that shares every unchanged resource with `previous`; `previous` itself when nothing changed. */
export function nextTable<T>(previous: ResourceTable, next: ReadonlyMap<string, T>, encode: (value: T, name: string) => Uint8Array): ResourceTable {
  const table = new Map<string, VersionedResource>();
  let changed = previous.size !== next.size;
  for (const [name, value] of next) {
    const payload = encode(value, name);
    const before = previous.get(name);
    if (before !== undefined && Buffer.compare(before.payload, payload) === 0) {
      table.set(name, before);
      continue;
    }
    changed = true;
    table.set(name, { name, version: createHash("sha256").update(payload).digest("hex").slice(0, 16), payload });
  }
  return changed ? table : previous;
}

/** What a stream that has `sent` must be told to be level with `table`, as far as it subscribes. */
export interface TableDelta {
  readonly changed: readonly VersionedResource[];
  readonly removed: readonly string[];
}

/**
 * The difference for one stream. `wanted` undefined is a wildcard subscription; a wanted name that does not exist is
 * reported removed once, so that the subscriber knows (xDS: a removal answers a subscription to nothing).
 */
export function tableDelta(table: ResourceTable, sent: ReadonlyMap<string, string>, wanted: ReadonlySet<string> | undefined): TableDelta {
  const changed: VersionedResource[] = [];
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
