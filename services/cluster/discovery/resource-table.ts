import { hash } from "node:crypto";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import { encodeResource, type EncodedResource } from "#federation/wire/discovery-messages.ts";
import { discoveryPartBytes } from "#federation/wire/limits.ts";
import type { NamesAhead } from "./names-ahead.ts";

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
  const version = hash("sha256", payload, "buffer").toString("hex", 0, 16);
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

/** What one stream has been told, and what of it. */
export interface Told {
  /** Versions by name. */
  readonly sent: ReadonlyMap<string, string>;
  /** Undefined: everything. */
  readonly wanted: ReadonlySet<string> | undefined;
}

/**
 * The names of which a stream may lack something, each once: what has changed since `level`, the table that it was level with; without one,
 * all that it wants or was told, found as they are asked for. O(changes log n), or O(1) and O(log n) for each.
 */
export function namesToTell({ sent, wanted }: Told, level: ResourceTable | undefined, table: ResourceTable): Iterable<string> {
  return level === undefined ? allNames(sent, wanted ?? table) : changedKeys(level, table);
}

/** What is told meanwhile is of `first`: to who was told nothing before, nothing else can matter. */
function* allNames(sent: ReadonlyMap<string, string>, first: Pick<ReadonlySet<string>, "keys" | "has">): Generator<string, void, undefined> {
  const isNew = sent.size === 0;
  yield* first.keys();
  if (!isNew) for (const name of sent.keys()) if (!first.has(name)) yield name;
}

/**
 * What a stream has to be told of one name: its resource, that it is removed, or nothing. A wanted name that does not exist is reported
 * removed once, so that the subscriber knows (xDS: a removal answers a subscription to nothing).
 */
export function newsOf(name: string, { sent, wanted }: Told, table: ResourceTable): EncodedResource | "removed" | undefined {
  const resource = table.get(name);
  const version = sent.get(name);
  const isWanted = wanted === undefined || wanted.has(name);
  if (resource !== undefined) return isWanted && version !== resource.version ? resource : undefined;
  if (version === absentVersion) return undefined;
  return version !== undefined || wanted?.has(name) === true ? "removed" : undefined;
}

/** What one response says. */
export interface TablePart {
  readonly changed: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** What a stream has to be told of the next of `names`, until that is `discoveryPartBytes` long. */
export function nextPart(names: NamesAhead, told: Told, table: ResourceTable): TablePart {
  const changed: EncodedResource[] = [];
  const removed: string[] = [];
  for (let bytes = 0; !names.isOver && bytes < discoveryPartBytes; ) {
    const name = names.take() ?? "";
    const news = newsOf(name, told, table);
    if (news === undefined) continue;
    if (news === "removed") removed.push(name);
    else changed.push(news);
    bytes += news === "removed" ? Buffer.byteLength(name) : news.latin1.length;
  }
  return { changed, removed };
}

/** The version under which a stream remembers that it has been told a name does not exist. */
export const absentVersion = "absent";
