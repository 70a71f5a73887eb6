import { z } from "zod";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { labelSchema } from "#federation/model/parse/name-schemas.ts";
import { readStoredResource } from "#federation/model/parse/parse-resource.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";
import { apiVersion, kindInfos, resourceId, type Kind, type ResourceKinds } from "#federation/model/resource.ts";
import { administratorsAlone, type Access } from "./access.ts";
import type { Change } from "./audit.ts";
import { changedFields } from "./changed-fields.ts";
import { kindPath, resourcePath, resourcePathSchema, type ResourcePath } from "./resource-path.ts";
import { scopeOfResource } from "./resource-scope.ts";
import { defineRoute, dryRunQuery, implement, type AdminRequest, type DryRunQuery, type Operation, type Route } from "./route.ts";

/** Items of one page: unless told, and at most. */
export const pageLimits = { usual: 500, max: 1_000 } as const;

export interface ListQuery {
  readonly namespace?: string;
  readonly limit?: number;
  /** From `metadata.continue` of the page before. */
  readonly continue?: string;
  readonly watch?: boolean;
}

/** A page of resources, in order of their ids. */
export interface ResourceList<K extends Kind> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: string;
  readonly metadata: { readonly revision: number; readonly continue?: string };
  readonly items: readonly ResourceKinds[K][];
}

/** One message of a watch: everything as puts, then `synced`, then each change. */
export type WatchEvent<K extends Kind> =
  | { readonly type: "put"; readonly resource: ResourceKinds[K] }
  | { readonly type: "delete"; readonly id: string }
  | { readonly type: "synced"; readonly revision: number };

/** What was deleted. */
export interface Deleted {
  readonly id: string;
}

/** The routes of one kind. */
export interface ResourceRoutes<K extends Kind> {
  readonly list: Route<Record<string, never>, ListQuery, undefined, ResourceList<K>, WatchEvent<K>>;
  readonly get: Route<ResourcePath, Record<string, never>, undefined, ResourceKinds[K]>;
  readonly apply: Route<ResourcePath, DryRunQuery, ResourceKinds[K], ResourceKinds[K]>;
  readonly remove: Route<ResourcePath, DryRunQuery, undefined, Deleted>;
}

/** What the resources of one kind are kept in. `ResourceCollection` of the catalog is one. */
export interface ResourceBackend<K extends Kind> {
  get(id: string, signal: AbortSignal): Promise<{ readonly value: ResourceKinds[K]; readonly revision: number } | undefined>;
  /** What the plane holds in memory of it, which others may have changed a moment ago; undefined where that is nothing. Absent: it holds none. */
  known?(id: string): Present<K> | undefined;
  list(signal: AbortSignal): Promise<{ readonly items: readonly { readonly id: string; readonly value: ResourceKinds[K] }[]; readonly revision: number }>;
  changes(signal: AbortSignal): AsyncIterable<{
    readonly initial: boolean;
    readonly puts: readonly { readonly id: string; readonly value: ResourceKinds[K] }[];
    readonly deletes: readonly string[];
    readonly revision: number;
  }>;
  apply(
    resource: ResourceKinds[K],
    /**
     * With `dryRun` nothing is written, and the answer is what would be. `over` is what the caller has just read, or "nothing": it is
     * not read again, and written over only while it stands.
     */
    options: { readonly ifRevision?: number; readonly dryRun?: boolean; readonly over?: Present<K> | "nothing" },
    signal: AbortSignal,
  ): Promise<{ readonly outcome: "created" | "changed" | "unchanged"; readonly resource: ResourceKinds[K] }>;
  remove(id: string, options: { readonly ifRevision?: number }, signal: AbortSignal): Promise<boolean>;
}

/** Checks beyond the form, before a write; throws an AtollError to refuse it. */
export interface Admission<K extends Kind> {
  readonly apply?: (resource: ResourceKinds[K], signal: AbortSignal) => Promise<void>;
  readonly remove?: (id: string, signal: AbortSignal) => Promise<void>;
}

/** The routes of `kind`: list and watch, get, apply by PUT, delete. */
export function resourceRoutes<K extends Kind>(kind: K): ResourceRoutes<K> {
  const { plural } = kindInfos[kind];
  const one = resourcePath(kind);
  const params = resourcePathSchema(kind);
  const resource = resourceSchemas[kind];
  const parseAnswer = (input: unknown): ResourceKinds[K] => readStoredResource(kind, input);
  return {
    list: defineRoute({
      operationId: `list${kind}`,
      method: "GET",
      path: kindPath(kind),
      summary: `Lists ${plural}, or follows them with ?watch=true`,
      access: "read",
      query: listQuerySchema,
      answer: listSchema(kind),
      parseAnswer: (input) => parseList(kind, input),
      event: eventSchema(kind),
      parseEvent: (input) => parseEvent(kind, input),
    }),
    get: defineRoute({ operationId: `get${kind}`, method: "GET", path: one, summary: `Reads one ${kind}`, access: "read", params, answer: resource, parseAnswer }),
    apply: defineRoute({
      operationId: `apply${kind}`,
      method: "PUT",
      path: one,
      summary: `Makes a ${kind} what the body says; status and what the server fills are ignored`,
      access: accessOf(kind),
      params,
      query: dryRunQuery,
      body: resource,
      answer: resource,
      parseAnswer,
    }),
    remove: defineRoute({
      operationId: `delete${kind}`,
      method: "DELETE",
      path: one,
      summary: `Deletes one ${kind}`,
      access: accessOf(kind),
      params,
      query: dryRunQuery,
      answer: z.object({ id: z.string() }),
    }),
  };
}

/** What a kind's operations are made of besides its backend. */
export interface ResourceOptions<K extends Kind> {
  readonly admission?: Admission<K>;
  /** Of the plane that keeps the resources, where it is of one. */
  readonly trustDomain?: TrustDomainName;
}

/** All four operations of `kind` over `backend`. */
export function resourceOperations<K extends Kind>(kind: K, backend: ResourceBackend<K>, options: ResourceOptions<K> = {}): readonly Operation[] {
  const routes = resourceRoutes(kind);
  const { admission = {}, trustDomain } = options;
  const scopeOf = (resource: ResourceKinds[K]) => scopeOfResource(resource, trustDomain);
  const apply = implement(routes.apply, async ({ params, query, body, demand, ...request }, signal) => {
    const id = resourceId(body.metadata);
    if (id !== resourceId(params)) throw new AtollError("ATOLL_REQUEST_INVALID", `the path names ${resourceId(params)}, the body ${id}`);
    demand(scopeOf(body));
    await admission.apply?.(body, signal);
    const dryRun = query.dryRun ?? false;
    const write = async (present: Present<K> | undefined, ifRevision: number | undefined) => {
      const over = ifRevision === (present?.revision ?? 0) ? { over: present ?? "nothing" } as const : {};
      // Whoever may write the new form may not take what belongs to somebody else.
      if (present !== undefined) demand(scopeOf(present.value));
      return await backend.apply(body, { ...revisionOption(ifRevision), ...over, dryRun }, signal);
    };
    const known = dryRun ? undefined : backend.known?.(id);
    const isJudgedAlike = known !== undefined && isAllowed(() => demand(scopeOf(known.value)));
    const { before, result } = (isJudgedAlike ? await overKnown(known, request, write) : undefined) ?? (await ofPresent(backend, id, request, signal, write));
    const { outcome, resource } = result;
    const change = changeOf(kind, id, { outcome, before, after: resource });
    return { body: resource, status: outcome === "created" ? 201 : 200, ...etag(resource), change };
  });
  const remove = implement(routes.remove, async ({ params, query, demand, ...request }, signal) => {
    const id = resourceId(params);
    const { before } = await ofPresent(backend, id, request, signal, async (present, ifRevision) => {
      // What cannot be read belongs to nobody who could be asked, and is an administrator's to clear away.
      if (present === undefined && !isAllowed(() => demand(administratorsAlone))) throw notFound(kind, id);
      if (present !== undefined) demand(scopeOf(present.value));
      await admission.remove?.(id, signal);
      const isThere = query.dryRun === true ? present !== undefined : await backend.remove(id, revisionOption(ifRevision), signal);
      if (!isThere) throw notFound(kind, id);
    });
    return { body: { id }, change: changeOf(kind, id, { outcome: "deleted", before, after: undefined }) };
  });
  return [...readOnlyOperations(kind, backend), apply, remove];
}

/** How often a write without a precondition is judged and tried when others keep writing in between. */
const writeTriesMax = 5;

/** A resource as it was read. */
export interface Present<K extends Kind> {
  readonly value: ResourceKinds[K];
  readonly revision: number;
}

/**
 * Writes over exactly the resource that was judged: one that somebody changes in between is judged again. With a precondition of the
 * caller's own there is one try. @throws {ATOLL_STORE_CONFLICT}
 */
export async function ofPresent<K extends Kind, T>(
  backend: ResourceBackend<K>,
  id: string,
  { ifRevision }: Pick<AdminRequest<unknown, unknown, unknown>, "ifRevision">,
  signal: AbortSignal,
  write: (present: Present<K> | undefined, ifRevision: number | undefined) => Promise<T>,
): Promise<{ readonly before: Present<K> | undefined; readonly result: T }> {
  for (let tries = 1; ; tries++) {
    const before = await backend.get(id, signal);
    const revision = before?.revision ?? 0;
    if (ifRevision !== undefined && ifRevision !== revision) throw new AtollError("ATOLL_STORE_CONFLICT", `${id} is at revision ${revision}, not ${ifRevision}`);
    try {
      // Where there is none, twice, and yet a conflict, there is one that cannot be read: it is written over, and so repaired.
      return { before, result: await write(before, before === undefined && tries > 1 ? ifRevision : revision) };
    } catch (error) {
      if (ifRevision !== undefined || tries >= writeTriesMax || !isAtollError(error, "ATOLL_STORE_CONFLICT")) throw error;
    }
  }
}

/**
 * Writes over what is known of a resource, as long as that is what is stored, and saves asking for it. Undefined when nothing was written:
 * then the store has to say what there is. @throws what `write` throws, but for ATOLL_STORE_CONFLICT
 */
async function overKnown<K extends Kind, T extends { readonly outcome: Change["outcome"] }>(
  known: Present<K>,
  { ifRevision }: Pick<AdminRequest<unknown, unknown, unknown>, "ifRevision">,
  write: (present: Present<K>, ifRevision: number) => Promise<T>,
): Promise<{ readonly before: Present<K>; readonly result: T } | undefined> {
  if (ifRevision !== undefined && ifRevision !== known.revision) return undefined;
  try {
    const result = await write(known, known.revision);
    return result.outcome === "unchanged" ? undefined : { before: known, result };
  } catch (error) {
    if (isAtollError(error, "ATOLL_STORE_CONFLICT")) return undefined;
    throw error;
  }
}

/** What a write made of a resource, for the trail. */
export function changeOf<K extends Kind>(
  kind: K,
  id: string,
  { outcome, before, after }: { readonly outcome: Change["outcome"]; readonly before: Present<K> | undefined; readonly after: ResourceKinds[K] | undefined },
): Change {
  const revisionAfter = after?.metadata.revision;
  return {
    outcome,
    kind,
    id,
    ...(before === undefined ? {} : { revisionBefore: before.revision }),
    ...(revisionAfter === undefined ? {} : { revisionAfter }),
    ...(outcome === "changed" ? { fields: changedFields(written(before?.value), written(after)) } : {}),
  };
}

/** What a user writes of a resource, as JSON keeps it. */
function written(resource: ResourceKinds[Kind] | undefined): unknown {
  return resource === undefined ? {} : JSON.parse(JSON.stringify({ metadata: { labels: resource.metadata.labels }, spec: resource.spec }));
}

function isAllowed(demand: () => void): boolean {
  try {
    demand();
    return true;
  } catch {
    return false;
  }
}

/** Places and parties of a federation are for administrators; what runs in them also for operators. */
export function accessOf(kind: Kind): Access {
  return kind === "Region" || kind === "Cluster" || kind === "TrustDomain" ? "administer" : "write";
}

/** List, watch and get of `kind`, for what a plane only shows. */
export function readOnlyOperations<K extends Kind>(kind: K, backend: Pick<ResourceBackend<K>, "get" | "list" | "changes">): readonly Operation[] {
  const routes = resourceRoutes(kind);
  return [
    implement(
      routes.list,
      async ({ query }, signal) => {
        const { items, revision } = await backend.list(signal);
        return { body: pageOf(kind, items, revision, query), revision };
      },
      ({ query }, signal) => watchEvents(backend, query.namespace, signal),
    ),
    implement(routes.get, async ({ params }, signal) => {
      const id = resourceId(params);
      const found = await backend.get(id, signal);
      if (found === undefined) throw notFound(kind, id);
      return { body: found.value, revision: found.revision };
    }),
  ];
}

async function* watchEvents<K extends Kind>(backend: Pick<ResourceBackend<K>, "changes">, namespace: string | undefined, signal: AbortSignal): AsyncGenerator<WatchEvent<K>, void, undefined> {
  for await (const batch of backend.changes(signal)) {
    for (const { id, value } of batch.puts) if (isIn(id, namespace)) yield { type: "put", resource: value };
    for (const id of batch.deletes) if (isIn(id, namespace)) yield { type: "delete", id };
    if (batch.initial) yield { type: "synced", revision: batch.revision };
  }
}

function pageOf<K extends Kind>(kind: K, items: readonly { readonly id: string; readonly value: ResourceKinds[K] }[], revision: number, query: ListQuery): ResourceList<K> {
  const after = query.continue === undefined ? "" : Buffer.from(query.continue, "base64url").toString("utf8");
  const left = items.filter((item) => item.id > after && isIn(item.id, query.namespace)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const page = left.slice(0, query.limit ?? pageLimits.usual);
  const last = page.at(-1);
  const isComplete = last === undefined || page.length === left.length;
  return {
    apiVersion,
    kind: `${kind}List`,
    metadata: { revision, ...(isComplete ? {} : { continue: Buffer.from(last.id).toString("base64url") }) },
    items: page.map((item) => item.value),
  };
}

const listQuerySchema: z.ZodType<ListQuery> = z.strictObject({
  namespace: z.exactOptional(labelSchema),
  limit: z.exactOptional(z.coerce.number<string>().int().min(1).max(pageLimits.max)),
  continue: z.exactOptional(z.string().max(1_024)),
  watch: z.exactOptional(z.enum(["true", "false"]).transform((text) => text === "true")),
});

function listSchema<K extends Kind>(kind: K): z.ZodType<ResourceList<K>> {
  return z.object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(`${kind}List`),
    metadata: z.object({ revision: z.int(), continue: z.exactOptional(z.string()) }),
    items: z.array(resourceSchemas[kind]),
  });
}

function eventSchema<K extends Kind>(kind: K): z.ZodType<WatchEvent<K>> {
  return z.discriminatedUnion("type", [
    z.object({ type: z.literal("put"), resource: resourceSchemas[kind] }),
    z.object({ type: z.literal("delete"), id: z.string() }),
    z.object({ type: z.literal("synced"), revision: z.int() }),
  ]) as unknown as z.ZodType<WatchEvent<K>>;
}

const envelopeSchema = z.object({ metadata: z.object({ revision: z.int(), continue: z.exactOptional(z.string()) }), items: z.array(z.unknown()) });

function parseList<K extends Kind>(kind: K, input: unknown): ResourceList<K> {
  const { metadata, items } = envelopeSchema.parse(input);
  return { apiVersion, kind: `${kind}List`, metadata, items: items.map((item) => readStoredResource(kind, item)) };
}

function parseEvent<K extends Kind>(kind: K, input: unknown): WatchEvent<K> {
  const event = z
    .discriminatedUnion("type", [
      z.object({ type: z.literal("put"), resource: z.unknown() }),
      z.object({ type: z.literal("delete"), id: z.string() }),
      z.object({ type: z.literal("synced"), revision: z.int() }),
    ])
    .parse(input);
  return event.type === "put" ? { type: "put", resource: readStoredResource(kind, event.resource) } : event;
}

function isIn(id: string, namespace: string | undefined): boolean {
  return namespace === undefined || id.startsWith(`${namespace}/`);
}

function revisionOption(ifRevision: number | undefined): { readonly ifRevision?: number } {
  return ifRevision === undefined ? {} : { ifRevision };
}

function etag(resource: ResourceKinds[Kind]): { readonly revision?: number } {
  const { revision } = resource.metadata;
  return revision === undefined ? {} : { revision };
}

function notFound(kind: Kind, id: string): AtollError {
  return new AtollError("ATOLL_NOT_FOUND", `there is no ${kind} ${id}`);
}
