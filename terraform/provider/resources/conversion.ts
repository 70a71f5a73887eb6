import { isDeepStrictEqual } from "node:util";
import { apiVersion, type Resource } from "#federation/model/resource.ts";
import { isObject, textOf, unknown, type CtyObject, type CtyValue } from "../cty/values.ts";
import type { Attribute, AttributeType } from "../schema/attributes.ts";
import { isOfCluster, resourceSchema, type KindRow } from "./kinds.ts";

type Json = Readonly<Record<string, unknown>>;

/** The resource that a configuration or a plan means, as JSON; what is null or unknown is left out. Pure. */
export function toResource(row: KindRow, value: CtyObject): Json {
  const metadata = toJson([...row.keys.filter(({ name }) => name !== "cluster"), ...row.labels], value);
  return { apiVersion, kind: row.kind, metadata, spec: toJson(row.spec, value) };
}

function toJson(attributes: readonly Attribute[], value: CtyObject): Json {
  return Object.fromEntries(
    attributes.flatMap(({ name, field, type }) => {
      const json = valueToJson(type, value[name] ?? null);
      return json === undefined ? [] : [[field, json]];
    }),
  );
}

function valueToJson(type: AttributeType, value: CtyValue): unknown {
  if (value === null || value === unknown) return undefined;
  if (type.kind === "number") return Number(value);
  if (type.kind === "object") return isObject(value) ? toJson(type.attributes, value) : undefined;
  if (type.kind === "objectList") return Array.isArray(value) ? value.map((item) => (isObject(item) ? toJson(type.attributes, item) : undefined)) : undefined;
  if (type.kind === "list") return Array.isArray(value) ? value.map((item) => valueToJson({ kind: type.of }, item)) : undefined;
  if (type.kind === "map") return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, valueToJson({ kind: type.of }, item)])) : undefined;
  return value;
}

/**
 * A resource as state. What the server puts where `written` says nothing stays nothing, so that a plan after an apply is empty. Pure.
 */
export function toState(row: KindRow, resource: Resource, { cluster, written }: { readonly cluster: string | undefined; readonly written: CtyObject | undefined }): CtyObject {
  const { metadata, spec } = resource;
  const source = { ...spec, ...(metadata.labels === undefined ? {} : { labels: metadata.labels }) };
  const keys = { name: metadata.name, ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }), ...(isOfCluster(row) ? { cluster: cluster ?? "" } : {}) };
  return { ...fromJson([...row.labels, ...row.spec], source, written), ...keys, id: idOf(row, keys), generation: metadata.generation ?? null };
}

function fromJson(attributes: readonly Attribute[], json: Json, written: CtyObject | undefined): CtyObject {
  return Object.fromEntries(attributes.map(({ name, field, type, serverDefault }) => [name, valueFromJson(type, json[field], { written: written?.[name], serverDefault })]));
}

function valueFromJson(type: AttributeType, json: unknown, { written, serverDefault }: { readonly written: CtyValue | undefined; readonly serverDefault: unknown }): CtyValue {
  if (json === undefined) return null;
  if ((written === undefined || written === null) && serverDefault !== undefined && isDeepStrictEqual(json, serverDefault)) return null;
  if (type.kind === "object") return fromJson(type.attributes, json as Json, isObject(written) ? written : undefined);
  if (type.kind === "objectList") {
    const before: readonly CtyValue[] = Array.isArray(written) ? written : [];
    return (json as readonly Json[]).map((item, at) => fromJson(type.attributes, item, isObject(before[at]) ? before[at] : undefined));
  }
  return json as CtyValue;
}

/** `[cluster/][namespace/]name`. */
export function idOf(row: KindRow, keys: CtyObject): string {
  return row.keys
    .map(({ name }) => textOf(keys[name]) ?? "")
    .join("/");
}

/** The keys that an id names; undefined when it has another number of parts. */
export function keysOf(row: KindRow, id: string): CtyObject | undefined {
  const parts = id.split("/");
  if (parts.length !== row.keys.length || parts.includes("")) return undefined;
  return Object.fromEntries(row.keys.map(({ name }, at) => [name, parts[at] ?? ""]));
}

/** A state of which only the keys are known: what an import begins with. */
export function emptyState(row: KindRow, keys: CtyObject): CtyObject {
  return { ...Object.fromEntries(resourceSchema(row).attributes.map(({ name }) => [name, null])), ...keys, id: idOf(row, keys) };
}
