import { AtollError } from "#federation/runtime/errors.ts";
import { apiVersion, isKind, kinds, type ExportedService, type Kind, type Resource, type ResourceKinds } from "../resource.ts";
import { describeValue, faultsOf, formatFault, type Fault } from "./fault.ts";
import { withNamesApart, withNamesTogether } from "./gateway-names.ts";
import { withUnheardApart, withUnheardAsReady } from "./unheard-instances.ts";
import { exportedServiceSchema, resourceSchemas } from "./resource-schemas.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A parsed input, or everything that is wrong with it. */
export type ParseOutcome<T> = { readonly kind: "parsed"; readonly value: T } | { readonly kind: "faults"; readonly faults: readonly Fault[] };

/** Reads one resource of any kind from data (parsed JSON or YAML). Unknown fields are refused. */
export function parseResource(input: unknown): ParseOutcome<Resource> {
  const { apiVersion: version, kind } = (typeof input === "object" && input !== null ? input : {}) as { readonly apiVersion?: unknown; readonly kind?: unknown };
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return { kind: "faults", faults: [{ path: "", segments: [], found: describeValue(input), expected: "a resource: a map with apiVersion, kind, metadata and spec", onKey: false }] };
  }
  const faults: Fault[] = [];
  if (version !== apiVersion) faults.push({ path: "apiVersion", segments: ["apiVersion"], found: describeValue(version), expected: apiVersion, onKey: false });
  if (typeof kind !== "string" || !isKind(kind)) {
    faults.push({ path: "kind", segments: ["kind"], found: describeValue(kind), expected: `one of ${kinds.join(", ")}`, onKey: false });
  }
  if (faults.length > 0 || typeof kind !== "string" || !isKind(kind)) return { kind: "faults", faults };
  return parseKind(kind, input);
}

/** Reads one resource of `kind` from data. Unknown fields are refused. */
export function parseKind<K extends Kind>(kind: K, input: unknown): ParseOutcome<ResourceKinds[K]> {
  const result = resourceSchemas[kind].safeParse(input);
  return result.success ? { kind: "parsed", value: result.data } : { kind: "faults", faults: faultsOf(result.error, input) };
}

/**
 * Reads one resource that a program of another version may have written: fields it does not know are left out.
 * @throws {ATOLL_RESOURCE_INVALID} for any other fault.
 */
export function readStoredResource<K extends Kind>(kind: K, input: unknown): ResourceKinds[K] {
  const strict = resourceSchemas[kind].safeParse(input);
  if (strict.success) return strict.data;
  const stripped = structuredClone(input);
  const faults = faultsOf(strict.error, input);
  for (const fault of faults) if (fault.onKey) deleteAt(stripped, fault.segments);
  const second = parseKind(kind, stripped);
  if (second.kind === "parsed") return second.value;
  throw resourceInvalid(`a stored ${kind}`, second.faults);
}

/**
 * The value of a signed object of kind ServiceExport, from its JSON bytes.
 * @throws {ATOLL_RESOURCE_INVALID}
 */
export function parseExportedService(bytes: Uint8Array): ExportedService {
  const input = withUnheardApart(withNamesTogether(parseJson(bytes)));
  const result = exportedServiceSchema.safeParse(input);
  if (result.success) return result.data;
  throw resourceInvalid("an exported service", faultsOf(result.error, input));
}

/** The bytes that `parseExportedService` reads. */
export function encodeExportedService(service: ExportedService): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(withUnheardAsReady(withNamesApart(service))));
}

/** The bytes of a resource as it goes to other planes; they read it by `readPeerResource`. */
export function encodePeerResource(resource: Resource): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(resource.kind === "Cluster" ? { ...resource, spec: withNamesApart(resource.spec) } : resource));
}

/**
 * A resource that another plane, maybe of another version, has sent.
 * @throws {ATOLL_RESOURCE_INVALID}
 */
export function readPeerResource<K extends Kind>(kind: K, bytes: Uint8Array): ResourceKinds[K] {
  const input = parseJson(bytes);
  const isCluster = kind === "Cluster" && typeof input === "object" && input !== null && "spec" in input;
  return readStoredResource(kind, isCluster ? { ...input, spec: withNamesTogether(input.spec) } : input);
}

/** The error of faults, all in its message. */
export function resourceInvalid(what: string, faults: readonly Fault[]): AtollError {
  return new AtollError("ATOLL_RESOURCE_INVALID", `${what} cannot be used: ${faults.map(formatFault).join("; ")}`);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown;
  } catch (cause) {
    throw new AtollError("ATOLL_RESOURCE_INVALID", "not JSON", { cause });
  }
}

function deleteAt(input: unknown, segments: readonly (string | number)[]): void {
  let holder = input;
  for (const segment of segments.slice(0, -1)) {
    if (typeof holder !== "object" || holder === null) return;
    holder = (holder as Readonly<Record<string | number, unknown>>)[segment];
  }
  const last = segments.at(-1);
  if (typeof holder === "object" && holder !== null && last !== undefined) Reflect.deleteProperty(holder, last);
}
