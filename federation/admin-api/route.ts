import { z } from "zod";
import type { Access, administratorsAlone, Scope } from "./access.ts";
import type { Change } from "./audit.ts";
import type { Caller } from "./caller.ts";

/** One operation of the REST contract, as data: the server, the client and the OpenAPI document are made of it. */
export interface Route<Params, Query, Body, Answer, Event = never> {
  /** camelCase, unique in a route set. */
  readonly operationId: string;
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** With parameters in braces: `/api/v1/clusters/{name}`. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  /** Its answer may be withheld until there is news: such requests have a bound of their own and are not counted among those that are worked on. */
  readonly mayWait?: boolean;
  readonly params: z.ZodType<Params>;
  readonly query: z.ZodType<Query>;
  readonly body: z.ZodType<Body>;
  readonly answer: z.ZodType<Answer>;
  /** Reads an answer of a server that may be newer than we are. */
  readonly parseAnswer: (input: unknown) => Answer;
  /** Present when `?watch=true` turns the answer into a stream of these; `type` becomes the SSE event's name. */
  readonly event?: z.ZodType<Event>;
  readonly parseEvent?: (input: unknown) => Event;
}

/** A route of any types, for those that treat all alike. */
export type AnyRoute = Route<never, never, never, unknown, unknown>;

/** A request that its route's schemas have let through. */
export interface AdminRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** From `If-Match`, or 0 from `If-None-Match: *`. */
  readonly ifRevision?: number;
  readonly caller: Caller;
  /** Whether a write of `scope` is the caller's to make. Handlers of `write` routes call it before they change anything. @throws {ATOLL_ADMIN_FORBIDDEN} */
  readonly demand: (scope: Scope | typeof administratorsAlone) => void;
}

/** What a handler answers; `revision` becomes the ETag. */
export interface AdminAnswer<Answer> {
  readonly body: Answer;
  /** 200 unless told. */
  readonly status?: 200 | 201;
  readonly revision?: number;
  /** What was changed; for the audit trail, and the client's `atoll-outcome`. */
  readonly change?: Change;
}

/** Says in an answer what became of the subject: `created`, `changed`, `unchanged`, `deleted`, `done`; with a dry run what would have. */
export const outcomeHeader = "atoll-outcome";

/** Says in an answer of a plane whose store is away, or tells it nothing, as of when it is (RFC 3339). */
export const staleHeader = "atoll-stale-since";

/** Throws an AtollError for everything else than success; its code decides the status. */
export type Handler<Params, Query, Body, Answer> = (request: AdminRequest<Params, Query, Body>, signal: AbortSignal) => Promise<AdminAnswer<Answer>>;

/** Follows the subject until `signal` aborts, which it does when the client leaves. */
export type WatchHandler<Params, Query, Event> = (request: AdminRequest<Params, Query, undefined>, signal: AbortSignal) => AsyncIterable<Event>;

/** A route with what does it. Made by `implement`. */
export interface Operation {
  readonly route: AnyRoute;
  readonly handle: Handler<unknown, unknown, unknown, unknown>;
  readonly watch?: WatchHandler<unknown, unknown, { readonly type: string }>;
}

/** Nothing: a route without parameters, query or body. */
export const nothing = z.strictObject({});
export const noBody = z.undefined();

/** `?dryRun=true`: everything is judged, nothing is written, and the answer is what would have been. */
export interface DryRunQuery {
  readonly dryRun?: boolean;
}

export const dryRunQuery: z.ZodType<DryRunQuery> = z.strictObject({ dryRun: z.exactOptional(z.enum(["true", "false"]).transform((text) => text === "true")).describe("Judge, and write nothing.") });

/** A route with the defaults: no parameters, no query, no body, answers read by their schema. */
export function defineRoute<Answer, Params = Record<string, never>, Query = Record<string, never>, Body = undefined, Event = never>(
  parts: Pick<Route<Params, Query, Body, Answer, Event>, "operationId" | "method" | "path" | "summary" | "access" | "answer"> &
    Partial<Pick<Route<Params, Query, Body, Answer, Event>, "mayWait" | "params" | "query" | "body" | "event" | "parseAnswer" | "parseEvent">>,
): Route<Params, Query, Body, Answer, Event> {
  const { answer, event } = parts;
  return {
    params: nothing as unknown as z.ZodType<Params>,
    query: nothing as unknown as z.ZodType<Query>,
    body: noBody as unknown as z.ZodType<Body>,
    parseAnswer: (input) => answer.parse(input),
    ...(event === undefined ? {} : { parseEvent: (input: unknown) => event.parse(input) }),
    ...parts,
  };
}

/** Joins a route to its handler, and to its watch where it has one. */
export function implement<Params, Query, Body, Answer, Event extends { readonly type: string } = never>(
  route: Route<Params, Query, Body, Answer, Event>,
  handle: Handler<Params, Query, Body, Answer>,
  watch?: WatchHandler<Params, Query, Event>,
): Operation {
  return { route, handle, ...(watch === undefined ? {} : { watch }) } as unknown as Operation;
}
