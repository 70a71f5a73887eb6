import { z } from "zod";
import { AtollError } from "#federation/runtime/errors.ts";
import { labelSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import { readStoredResource } from "#federation/model/parse/parse-resource.ts";
import { resourceSchemas } from "#federation/model/parse/resource-schemas.ts";
import { apiVersion, kindInfos, resourceId, type Kind, type ResourceKinds } from "#federation/model/resource.ts";
import { defineRoute, implement, type Operation, type Peer, type Route } from "./route.ts";

/** Items of one page: unless told, and at most. */
export const pageLimits = { usual: 500, max: 1_000 } as const;

/** The name in a path, and the namespace for the kinds that have one. */
export interface ResourcePath {
  readonly name: string;
  readonly namespace?: string;
}

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
  readonly apply: Route<ResourcePath, Record<string, never>, ResourceKinds[K], ResourceKinds[K]>;
  readonly remove: Route<ResourcePath, Record<string, never>, undefined, Deleted>;
}

/** What the resources of one kind are kept in. `ResourceCollection` of the catalog is one. */
export interface ResourceBackend<K extends Kind> {
  get(id: string, signal: AbortSignal): Promise<{ readonly value: ResourceKinds[K]; readonly revision: number } | undefined>;
  list(signal: AbortSignal): Promise<{ readonly items: readonly { readonly id: string; readonly value: ResourceKinds[K] }[]; readonly revision: number }>;
  changes(signal: AbortSignal): AsyncIterable<{
    readonly initial: boolean;
    readonly puts: readonly { readonly id: string; readonly value: ResourceKinds[K] }[];
    readonly deletes: readonly string[];
    readonly revision: number;
  }>;
  apply(
    resource: ResourceKinds[K],
    options: { readonly ifRevision?: number },
    signal: AbortSignal,
  ): Promise<{ readonly outcome: "created" | "changed" | "unchanged"; readonly resource: ResourceKinds[K] }>;
  remove(id: string, options: { readonly ifRevision?: number }, signal: AbortSignal): Promise<boolean>;
}

/** Checks beyond the form, before a write; throws an AtollError to refuse it. */
export interface Admission<K extends Kind> {
  readonly apply?: (resource: ResourceKinds[K], peer: Peer, signal: AbortSignal) => Promise<void>;
  readonly remove?: (id: string, peer: Peer, signal: AbortSignal) => Promise<void>;
}

/** The routes of `kind`: list and watch, get, apply by PUT, delete. */
export function resourceRoutes<K extends Kind>(kind: K): ResourceRoutes<K> {
  const { plural, namespaced } = kindInfos[kind];
  const base = `/api/v1/${plural}`;
  const one = `${base}/${namespaced ? "{namespace}/" : ""}{name}`;
  const nameSchema = kind === "TrustDomain" ? trustDomainSchema : kind === "ServiceImport" ? z.string().max(127) : labelSchema;
  const params = z.strictObject(namespaced ? { namespace: labelSchema, name: nameSchema } : { name: nameSchema }) as unknown as z.ZodType<ResourcePath>;
  const resource = resourceSchemas[kind];
  const parseAnswer = (input: unknown): ResourceKinds[K] => readStoredResource(kind, input);
  return {
    list: defineRoute({
      operationId: `list${kind}`,
      method: "GET",
      path: base,
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
      access: "write",
      params,
      body: resource,
      answer: resource,
      parseAnswer,
    }),
    remove: defineRoute({
      operationId: `delete${kind}`,
      method: "DELETE",
      path: one,
      summary: `Deletes one ${kind}`,
      access: "write",
      params,
      answer: z.object({ id: z.string() }),
    }),
  };
}

/** All four operations of `kind` over `backend`. */
export function resourceOperations<K extends Kind>(kind: K, backend: ResourceBackend<K>, admission: Admission<K> = {}): readonly Operation[] {
  const routes = resourceRoutes(kind);
  const apply = implement(routes.apply, async ({ params, body, ifRevision, peer }, signal) => {
    const id = resourceId(body.metadata);
    if (id !== resourceId(params)) throw new AtollError("ATOLL_REQUEST_INVALID", `the path names ${resourceId(params)}, the body ${id}`);
    await admission.apply?.(body, peer, signal);
    const { outcome, resource } = await backend.apply(body, revisionOption(ifRevision), signal);
    return { body: resource, status: outcome === "created" ? 201 : 200, ...etag(resource) };
  });
  const remove = implement(routes.remove, async ({ params, ifRevision, peer }, signal) => {
    const id = resourceId(params);
    await admission.remove?.(id, peer, signal);
    if (!(await backend.remove(id, revisionOption(ifRevision), signal))) throw notFound(kind, id);
    return { body: { id } };
  });
  return [...readOnlyOperations(kind, backend), apply, remove];
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
