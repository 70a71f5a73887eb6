import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import type { PeerCertificate } from "node:tls";
import { deadlineSignal, sleep, systemClock, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { jittered, systemRandom, type Random } from "#federation/runtime/random.ts";
import type { Kind, ResourceKinds } from "#federation/model/resource.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { AdminContext } from "./admin-context.ts";
import { heartbeatMs, readEvents } from "./event-stream.ts";
import { peerSpiffeId } from "./peer.ts";
import { AdminApiError, problemContentType, problemSchema } from "./problem.ts";
import type { ResourcePath } from "./resource-path.ts";
import { resourceRoutes, type WatchEvent } from "./resource-routes.ts";
import { outcomeHeader, staleHeader, type Route } from "./route.ts";

/** Where and how to call. */
export interface AdminClientOptions {
  readonly context: AdminContext;
  /** Instead of the context's server, e.g. a cluster's plane; then `serverId` says who that is. */
  readonly server?: string;
  readonly serverId?: SpiffeId;
  /** Bound of one call, and of the beginning of a watch. 30 s unless told. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** For pauses before a plane that has too much to do is asked again. */
  readonly random?: Random;
  /** Hears of answers of a plane whose store is away: they are as of `since` (RFC 3339). Must not throw. */
  readonly onStale?: (since: string) => void;
}

/** The parts of a request, as its route's schemas take them. */
export interface CallParts<Params, Query, Body> {
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** Only if the subject is at this revision; 0: only if it is not there. */
  readonly ifRevision?: number;
}

/** A success; `status` 201 says that something was created. */
export interface CallAnswer<Answer> {
  readonly body: Answer;
  readonly status: number;
  /** From the ETag. */
  readonly revision?: number;
  /** What became of the subject, of a server that says so. */
  readonly outcome?: string;
  /** The plane's store is away, and this is as of then (RFC 3339). */
  readonly staleSince?: string;
}

/** How a resource is written: only over what was read, and whether at all. */
export interface WriteOptions {
  readonly ifRevision?: number;
  readonly dryRun?: boolean;
}

/** Longest answer that is read. */
const answerBytesMax = 64 * 1024 * 1024;
/** Connections to the plane at once; further calls wait for one of them, since a handshake costs a plane more than most calls do. */
const connectionsMax = 64;
/** Pauses grow to so many times what the plane asks for. */
const pauseGrowthMax = 4;

/**
 * A client of one plane's admin API over mutual TLS. Every failure to reach the server, or to find there whom the
 * context names, is ATOLL_ADMIN_UNAVAILABLE; what the server refuses is an `AdminApiError` with its problem.
 */
export class AdminClient implements Disposable {
  readonly #options: AdminClientOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #agent: Agent;
  readonly #target: { readonly host: string; readonly port: number };

  /** @throws {ATOLL_CONFIG_INVALID} when there is no server to call. */
  constructor(options: AdminClientOptions) {
    const { context } = options;
    const serverId = options.serverId ?? context.serverId ?? `spiffe://${context.federation}/atoll/plane/global`;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#target = parseServer(options.server ?? context.server);
    this.#agent = new Agent({
      ca: context.caPem,
      ...("tokenFile" in context ? {} : { cert: context.certificatePem, key: context.privateKeyPem }),
      minVersion: "TLSv1.3",
      maxCachedSessions: 0,
      keepAlive: true,
      maxSockets: connectionsMax,
      // The chain is verified by then; names of hosts mean nothing here, the identity means everything.
      checkServerIdentity: (_host, certificate) => checkServer(certificate, serverId),
    });
  }

  /** Calls `route` and reads its answer. */
  async call<Params, Query, Body, Answer, Event>(
    route: Route<Params, Query, Body, Answer, Event>,
    parts: CallParts<Params, Query, Body>,
    signal: AbortSignal,
  ): Promise<CallAnswer<Answer>> {
    const timeoutMs = this.#options.timeoutMs ?? 30_000;
    const endMs = this.#clock.monotonicMs() + timeoutMs;
    using deadline = deadlineSignal(this.#clock, timeoutMs, signal);
    const { response, text, status } = await this.#taken(async () => await this.#exchanged(route, parts, deadline.signal), endMs, deadline.signal);
    if (status < 200 || status > 299) throw refusal(response, text);
    const revision = /^"(\d{1,15})"$/.exec(response.headers.etag ?? "")?.[1];
    const body = this.#read(() => route.parseAnswer(JSON.parse(text) as unknown));
    const outcome = response.headers[outcomeHeader];
    const staleSince = response.headers[staleHeader];
    if (typeof staleSince === "string") this.#options.onStale?.(staleSince);
    return { body, status, ...(revision === undefined ? {} : { revision: Number(revision) }), ...(typeof outcome === "string" ? { outcome } : {}), ...(typeof staleSince === "string" ? { staleSince } : {}) };
  }

  async #exchanged<Params, Query, Body, Answer, Event>(route: Route<Params, Query, Body, Answer, Event>, parts: CallParts<Params, Query, Body>, signal: AbortSignal): Promise<Exchanged> {
    const response = await this.#send(route, parts, signal);
    return { response, text: await readText(response), status: response.statusCode ?? 0 };
  }

  /** Asks again for as long as the plane has too much to do and says when: it has done nothing of the request then, whatever that is. The last answer where there is no time for another. */
  async #taken(ask: () => Promise<Exchanged>, endMs: number, signal: AbortSignal): Promise<Exchanged> {
    for (let refusals = 0; ; refusals++) {
      const answer = await ask();
      const afterSeconds = answer.status === 429 ? Number(answer.response.headers["retry-after"] ?? Number.NaN) : Number.NaN;
      if (!Number.isFinite(afterSeconds)) return answer;
      const pauseMs = jittered(this.#random, afterSeconds * 1_000 * Math.min(2 ** refusals, pauseGrowthMax), 0.5);
      if (this.#clock.monotonicMs() + pauseMs >= endMs) return answer;
      await sleep(this.#clock, pauseMs, signal);
    }
  }

  /** Follows `route` until `signal` aborts or the server ends the stream; begins with the present state. The caller watches anew. */
  async *watch<Params, Query extends { readonly watch?: boolean }, Body, Answer, Event>(
    route: Route<Params, Query, Body, Answer, Event>,
    parts: CallParts<Params, Omit<Query, "watch">, Body>,
    signal: AbortSignal,
  ): AsyncGenerator<Event, void, undefined> {
    const { parseEvent } = route;
    if (parseEvent === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `${route.operationId} cannot be watched`);
    const response = await this.#beginWatch(route, { ...parts, query: { ...parts.query, watch: true } as unknown as Query }, signal);
    response.setTimeout(3 * heartbeatMs, () => response.destroy(new Error(`nothing heard for ${3 * heartbeatMs} ms`)));
    try {
      if (response.statusCode !== 200) throw refusal(response, await readText(response));
      for await (const data of readEvents(response)) yield this.#read(() => parseEvent(data));
    } catch (error) {
      if (signal.aborted) return;
      throw isAtollError(error) ? error : this.#unreachable(error);
    } finally {
      response.destroy();
    }
  }

  /** All resources of `kind`, page by page. */
  async list<K extends Kind>(kind: K, filter: { readonly namespace?: string }, signal: AbortSignal): Promise<readonly ResourceKinds[K][]> {
    const { list } = resourceRoutes(kind);
    const items: ResourceKinds[K][] = [];
    let query: { readonly namespace?: string; readonly continue?: string } = filter;
    for (;;) {
      const { body } = await this.call(list, { query }, signal);
      items.push(...body.items);
      if (body.metadata.continue === undefined) return items;
      query = { ...filter, continue: body.metadata.continue };
    }
  }

  /** One resource. @throws {ATOLL_NOT_FOUND} */
  async get<K extends Kind>(kind: K, path: ResourcePath, signal: AbortSignal): Promise<ResourceKinds[K]> {
    return (await this.call(resourceRoutes(kind).get, { params: path }, signal)).body;
  }

  /** Makes the plane's resource what `resource` says; with `dryRun` it answers what would become of it, and writes nothing. @throws {ATOLL_STORE_CONFLICT} when `ifRevision` does not hold. */
  async apply<K extends Kind>(
    resource: ResourceKinds[K],
    { dryRun, ...options }: WriteOptions,
    signal: AbortSignal,
  ): Promise<{ readonly resource: ResourceKinds[K]; readonly isNew: boolean; readonly isChanged: boolean }> {
    const route = resourceRoutes(resource.kind as K).apply;
    const { body, status, outcome } = await this.call(route, { params: pathOf(resource.metadata), query: dryRunOption(dryRun), body: resource, ...options }, signal);
    return { resource: body, isNew: status === 201, isChanged: outcome !== "unchanged" };
  }

  /** @throws {ATOLL_NOT_FOUND} */
  async remove(kind: Kind, path: ResourcePath, { dryRun, ...options }: WriteOptions, signal: AbortSignal): Promise<void> {
    await this.call(resourceRoutes(kind).remove, { params: path, query: dryRunOption(dryRun), ...options }, signal);
  }

  /** Everything of `kind` as puts, then `synced`, then each change. */
  watchKind<K extends Kind>(kind: K, filter: { readonly namespace?: string }, signal: AbortSignal): AsyncGenerator<WatchEvent<K>, void, undefined> {
    return this.watch(resourceRoutes(kind).list, { query: filter }, signal);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  /** The bound is for the beginning; from then on the server's heartbeats tell that it is there. */
  async #beginWatch<Params, Query, Body, Answer, Event>(
    route: Route<Params, Query, Body, Answer, Event>,
    parts: CallParts<Params, Query, Body>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    using deadline = deadlineSignal(this.#clock, this.#options.timeoutMs ?? 30_000, signal);
    return await this.#send(route, parts, deadline.signal);
  }

  async #send<Params, Query, Body, Answer, Event>(
    route: Route<Params, Query, Body, Answer, Event>,
    parts: CallParts<Params, Query, Body>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const body = parts.body === undefined ? undefined : Buffer.from(JSON.stringify(parts.body));
    const headers: Record<string, string | number> = { accept: "application/json, text/event-stream" };
    const { context } = this.#options;
    if ("tokenFile" in context) headers["authorization"] = `Bearer ${await readToken(context.tokenFile)}`;
    if (body !== undefined) Object.assign(headers, { "content-type": "application/json", "content-length": body.length });
    if (parts.ifRevision === 0) headers["if-none-match"] = "*";
    else if (parts.ifRevision !== undefined) headers["if-match"] = `"${parts.ifRevision}"`;
    const options: RequestOptions = { ...this.#target, agent: this.#agent, method: route.method, path: fillPath(route.path, parts.params ?? {}, parts.query ?? {}), headers, signal };
    const first = await exchange(options, body);
    // A connection that was closed while it was idle, or with its server: nobody knows whether the request arrived, so only what may be asked twice is.
    const isRepeatable = route.method !== "POST" && parts.ifRevision === undefined;
    const last = first.kind === "stale" && isRepeatable ? await exchange(options, body) : first;
    if (last.kind === "response") return last.response;
    if (signal.aborted) throw isAtollError(signal.reason) ? signal.reason : new AtollError("ATOLL_ABORTED", "the call was cancelled", { cause: signal.reason });
    // That nobody listens any more does not mean that nothing was done.
    throw this.#unreachable(first.kind === "stale" ? first.error : last.error);
  }

  #read<T>(read: () => T): T {
    try {
      return read();
    } catch (cause) {
      throw new AtollError("ATOLL_ADMIN_UNAVAILABLE", "the server's answer cannot be understood; it may be of another version", { cause });
    }
  }

  #unreachable(error: unknown): AtollError {
    const { host, port } = this.#target;
    return new AtollError("ATOLL_ADMIN_UNAVAILABLE", `the admin API at ${host}:${port} cannot be reached: ${describeError(error)}`, { cause: error });
  }
}

function dryRunOption(dryRun: boolean | undefined): { readonly dryRun?: boolean } {
  return dryRun === true ? { dryRun } : {};
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `the token file ${path} of the admin context cannot be read: ${describeError(cause)}`, { cause });
  }
}

/** The path of a resource's own metadata. */
function pathOf(metadata: ResourcePath): ResourcePath {
  return metadata.namespace === undefined ? { name: metadata.name } : { namespace: metadata.namespace, name: metadata.name };
}

/** An answer, read whole. */
interface Exchanged {
  readonly response: IncomingMessage;
  readonly text: string;
  readonly status: number;
}

type Exchange = { readonly kind: "response"; readonly response: IncomingMessage } | { readonly kind: "stale" | "failed"; readonly error: unknown };

async function exchange(options: RequestOptions, body: Buffer | undefined): Promise<Exchange> {
  return await new Promise((resolve) => {
    const request = httpsRequest(options, (response) => resolve({ kind: "response", response }));
    request.on("error", (error) => {
      const isStale = request.reusedSocket && "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
      resolve({ kind: isStale ? "stale" : "failed", error });
    });
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > answerBytesMax) throw new RangeError(`an answer of more than ${answerBytesMax} bytes`);
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new AtollError("ATOLL_ADMIN_UNAVAILABLE", "the server's answer broke off", { cause });
  }
  return Buffer.concat(chunks).toString("utf8");
}

function refusal(response: IncomingMessage, text: string): AtollError {
  try {
    if (response.headers["content-type"]?.startsWith(problemContentType) === true) return new AdminApiError(problemSchema.parse(JSON.parse(text)));
  } catch (cause) {
    return new AtollError("ATOLL_ADMIN_UNAVAILABLE", `the server answered ${response.statusCode} with a problem that cannot be read`, { cause });
  }
  return new AtollError("ATOLL_ADMIN_UNAVAILABLE", `the server answered ${response.statusCode}, not as an admin API does`);
}

function checkServer(certificate: PeerCertificate, expected: string): Error | undefined {
  const found = peerSpiffeId(certificate.subjectaltname);
  return found === expected ? undefined : new Error(`the server is ${found ?? "nobody with a single SPIFFE ID"}, not ${expected}`);
}

function parseServer(server: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(server);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `no server to call: found ${JSON.stringify(server)}, expected host:port`);
  return { host, port: Number(match?.[3]) };
}

function fillPath(path: string, params: object, query: object): string {
  const values = params as Readonly<Record<string, string>>;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? filled : `${filled}?${search.toString()}`;
}
