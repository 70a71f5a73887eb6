import { constants } from "node:crypto";
import { TLSSocket } from "node:tls";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { faultsOf } from "#federation/model/parse/fault.ts";
import type { z } from "zod";
import { explainListenError, portOf } from "#federation/runtime/listen.ts";
import { sendEvents } from "./event-stream.ts";
import { createOpenApi, type OpenApiInfo } from "./openapi.ts";
import { peerSpiffeId } from "./peer.ts";
import { createProblem, invalidRequest, problemContentType, problemOf } from "./problem.ts";
import type { Access, AdminRequest, AnyRoute, Operation, Peer } from "./route.ts";

/** What the server shows, and whom it lets in: `caPem` holds constrained anchors only. */
export interface AdminTls {
  readonly caPem: string;
  /** Leaf first, without the root. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}

/** How to serve the admin API. */
export interface AdminServerOptions {
  /** A literal IP address. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: AdminTls;
  readonly operations: readonly Operation[];
  readonly openApi: OpenApiInfo;
  /** Whether `peer`, whose certificate is verified, may do this. */
  readonly authorize: (peer: Peer, access: Access, operationId: string) => boolean;
  /** For /readyz. */
  readonly isReady: () => boolean;
  /** Hears of failures that are the server's own; the client is told nothing of them. Must not throw. */
  readonly onError: (error: unknown, operationId: string) => void;
  readonly clock: Clock;
}

/** Bounds of the server. */
export const adminServerLimits = {
  bodyBytes: 1024 * 1024,
  connections: 1_024,
  watches: 256,
  handshakeMs: 10_000,
  /** To receive a whole request. */
  requestMs: 30_000,
  keepAliveMs: 60_000,
  /** For watches to end by themselves when the server closes. */
  closeMs: 1_000,
} as const;

/** A running admin API. Disposing ends its watches, then its connections. */
export interface AdminServer extends AsyncDisposable {
  readonly port: number;
  /** For new connections; those that exist keep what they were made with. */
  replaceTls(tls: AdminTls): void;
}

/** Serves `operations`, `/openapi.json`, `/livez` and `/readyz` over mutual TLS 1.3. @throws {ATOLL_PORT_TAKEN} */
export async function openAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const stopping = new AbortController();
  const app = fastify({
    https: { ...secureOptions(options.tls), requestCert: true, rejectUnauthorized: true, handshakeTimeout: adminServerLimits.handshakeMs },
    bodyLimit: adminServerLimits.bodyBytes,
    requestTimeout: adminServerLimits.requestMs,
    keepAliveTimeout: adminServerLimits.keepAliveMs,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    logger: false,
    routerOptions: { maxParamLength: 256 },
  });
  app.server.maxConnections = adminServerLimits.connections;
  app.setErrorHandler(async (error, request, reply) => await refuse(reply, error, request, options));
  app.setNotFoundHandler(async (request, reply) => {
    const problem = createProblem("ATOLL_NOT_FOUND", 404, `nothing answers ${request.method} ${pathOf(request).slice(0, 200)}`);
    return await reply.code(404).type(problemContentType).send(JSON.stringify(problem));
  });
  addBuiltIns(app, options);
  const watches = new Set<Promise<void>>();
  for (const operation of options.operations) {
    const { method, path } = operation.route;
    app.route({ method, url: path.replaceAll(/\{(\w+)\}/g, ":$1"), handler: createHandler(operation, options, stopping.signal, watches) });
  }
  const address = { host: options.address, port: options.port };
  await app.listen(address).catch((error: unknown) => {
    throw explainListenError(error, address);
  });
  return {
    port: portOf(app.server),
    replaceTls: (tls) => app.server.setSecureContext(secureOptions(tls)),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      const giveUp = new AbortController();
      await Promise.race([Promise.allSettled(watches), sleep(options.clock, adminServerLimits.closeMs, giveUp.signal).catch(() => undefined)]);
      giveUp.abort();
      await app.close();
    },
  };
}

/** TLS 1.3 without tickets: a resumed session would outlive a withdrawn certificate. */
function secureOptions(tls: AdminTls) {
  return {
    ca: tls.caPem,
    cert: tls.certificateChainPem,
    key: tls.privateKeyPem,
    minVersion: "TLSv1.3",
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const;
}

function addBuiltIns(app: { get(path: string, handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>): unknown }, options: AdminServerOptions): void {
  const openApi = JSON.stringify(createOpenApi(options.openApi, options.operations.map((operation) => operation.route)));
  app.get("/openapi.json", async (_request, reply) => await reply.type("application/json").send(openApi));
  app.get("/livez", async () => ({ live: true }));
  app.get("/readyz", async (_request, reply) => {
    const ready = options.isReady();
    return await reply.code(ready ? 200 : 503).send({ ready });
  });
}

function createHandler(operation: Operation, options: AdminServerOptions, stopping: AbortSignal, watches: Set<Promise<void>>) {
  return async (incoming: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const { route } = operation;
    const peer = peerOf(incoming);
    if (!options.authorize(peer, route.access, route.operationId)) {
      throw new AtollError("ATOLL_ADMIN_FORBIDDEN", `${peer.spiffeId} may not ${route.operationId}`);
    }
    const request = readRequest(route, incoming, peer);
    const leaving = new AbortController();
    reply.raw.once("close", () => leaving.abort());
    const signal = AbortSignal.any([stopping, leaving.signal]);
    if (operation.watch !== undefined && isWatch(request.query)) {
      if (watches.size >= adminServerLimits.watches) throw new AtollError("ATOLL_ADMIN_OVERLOADED", `${adminServerLimits.watches} watches are open`);
      const watch = serveWatch(operation.watch({ ...request, body: undefined }, signal), { reply, options, operationId: route.operationId });
      watches.add(watch);
      await watch;
      watches.delete(watch);
      return reply;
    }
    const answer = await operation.handle(request, signal);
    if (answer.revision !== undefined) void reply.header("etag", `"${answer.revision}"`);
    return await reply.code(answer.status ?? 200).header("cache-control", "no-store").send(answer.body);
  };
}

/** Never throws. */
async function serveWatch(
  events: AsyncIterable<{ readonly type: string }>,
  { reply, options, operationId }: { readonly reply: FastifyReply; readonly options: AdminServerOptions; readonly operationId: string },
): Promise<void> {
  reply.hijack();
  try {
    await sendEvents(reply.raw, events, options.clock);
  } catch (error) {
    // The status line is gone, so the client sees the stream end and watches anew.
    if (!isAbort(error)) options.onError(error, operationId);
  }
}

function readRequest(route: AnyRoute, incoming: FastifyRequest, peer: Peer): AdminRequest<unknown, unknown, unknown> {
  const params: unknown = parsePart(route.params, incoming.params ?? {});
  const query: unknown = parsePart(route.query, { ...(incoming.query as object) });
  const isResource = route.method === "PUT" && route.operationId.startsWith("apply");
  const body: unknown = parsePart(route.body, incoming.body ?? undefined, isResource ? "ATOLL_RESOURCE_INVALID" : "ATOLL_REQUEST_INVALID");
  const ifRevision = preconditionOf(incoming);
  return { params, query, body, peer, ...(ifRevision === undefined ? {} : { ifRevision }) };
}

function parsePart(schema: z.ZodType, input: unknown, code: "ATOLL_REQUEST_INVALID" | "ATOLL_RESOURCE_INVALID" = "ATOLL_REQUEST_INVALID"): unknown {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw invalidRequest(code, faultsOf(result.error, input));
}

/** The revision of `If-Match`, or 0 for `If-None-Match: *`. @see https://www.rfc-editor.org/rfc/rfc9110#section-13.1 */
function preconditionOf(incoming: FastifyRequest): number | undefined {
  const { "if-match": match, "if-none-match": noneMatch } = incoming.headers;
  if (noneMatch !== undefined) {
    if (noneMatch !== "*" || match !== undefined) throw new AtollError("ATOLL_REQUEST_INVALID", "If-None-Match is understood as * and without If-Match");
    return 0;
  }
  if (match === undefined) return undefined;
  const digits = /^"(\d{1,15})"$/.exec(match)?.[1];
  if (digits === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `If-Match is the ETag that was read, e.g. "42"`);
  return Number(digits);
}

function peerOf(incoming: FastifyRequest): Peer {
  const { socket } = incoming.raw;
  const spiffeId = socket instanceof TLSSocket && socket.authorized ? peerSpiffeId(socket.getPeerX509Certificate()?.subjectAltName) : undefined;
  if (spiffeId === undefined) throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "the client's certificate carries no single SPIFFE ID");
  return { spiffeId };
}

async function refuse(reply: FastifyReply, error: unknown, incoming: FastifyRequest, options: AdminServerOptions): Promise<unknown> {
  const problem = ownProblem(error) ?? problemOf(error, incoming.headers["if-match"] !== undefined || incoming.headers["if-none-match"] !== undefined);
  if (problem.status >= 500 && !isAtollError(error, "ATOLL_ABORTED")) options.onError(error, `${incoming.method} ${pathOf(incoming)}`);
  return await reply.code(problem.status).type(problemContentType).send(JSON.stringify(problem));
}

/** The problem of what fastify itself refused: a body that is too long, not JSON, or of another type. */
function ownProblem(error: unknown) {
  if (!(error instanceof Error) || !("statusCode" in error) || typeof error.statusCode !== "number") return undefined;
  if (error.statusCode < 400 || error.statusCode > 499) return undefined;
  return createProblem("ATOLL_REQUEST_INVALID", error.statusCode, error.message);
}

function isWatch(query: unknown): boolean {
  return typeof query === "object" && query !== null && "watch" in query && query.watch === true;
}

function pathOf(incoming: FastifyRequest): string {
  return incoming.url.split("?")[0] ?? "";
}
