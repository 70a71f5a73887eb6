import { constants } from "node:crypto";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { boundConnections } from "#federation/runtime/bound-connections.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { explainListenError, portOf } from "#federation/runtime/listen.ts";
import { demandWrite, describeGrants, type Grant } from "./access.ts";
import type { AuditTrail } from "./audit.ts";
import { audited } from "./audited.ts";
import { callerOf } from "./authenticate.ts";
import { answerClientError } from "./client-error.ts";
import { nameOfCaller, type Caller, type TokenAuthenticator } from "./caller.ts";
import { sendEvents } from "./event-stream.ts";
import { createOpenApi, type OpenApiInfo } from "./openapi.ts";
import type { PlaneAdmission } from "./plane-admission.ts";
import { createProblem, problemContentType, problemOf } from "./problem.ts";
import { OverloadedError } from "./request-admission.ts";
import { readParts } from "./request-parts.ts";
import { outcomeHeader, staleHeader, type AdminAnswer, type AdminRequest, type AnyRoute, type Operation } from "./route.ts";

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
  /** The roles of a caller whose certificate or token is verified. */
  readonly grantsOf: (caller: Caller) => readonly Grant[];
  /** Whether a caller is one of the planes that `plane` operations are for. */
  readonly isPlane: (caller: Caller) => boolean;
  /** Present where callers may come with a token instead of a certificate. */
  readonly authenticate?: TokenAuthenticator;
  readonly audit: AuditTrail;
  /** How many requests are worked on at once. */
  readonly admission: PlaneAdmission;
  /** For /readyz. */
  readonly isReady: () => boolean;
  /** Wall-clock ms as of which what is read is, where that is not now, as while the store is away or not followed; answers say so. */
  readonly staleSinceMs?: () => number | undefined;
  /** Hears of failures that are the server's own; the client is told nothing of them. Must not throw. */
  readonly onError: (error: unknown, operationId: string) => void;
  /** Hears of callers that were refused for who they are. Must not throw. */
  readonly onRefused: (code: string) => void;
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
  /** For watches to end by themselves, and for what is being answered to be answered, when the server closes. */
  closeMs: 1_000,
} as const;

/** A running admin API. Disposing ends its watches, lets what is being answered be answered, and then ends its connections. */
export interface AdminServer extends AsyncDisposable {
  readonly port: number;
  /** For new connections; those that exist keep what they were made with. */
  replaceTls(tls: AdminTls): void;
}

/**
 * Serves `operations`, `/openapi.json`, `/livez` and `/readyz` over TLS 1.3. Clients show a certificate; only where tokens are taken may
 * one come without, and then nothing but the three built-in paths answers without a token. @throws {ATOLL_PORT_TAKEN}
 */
export async function openAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const stopping = new AbortController();
  const app = fastify({
    https: { ...secureOptions(options.tls), requestCert: true, rejectUnauthorized: options.authenticate === undefined, handshakeTimeout: adminServerLimits.handshakeMs },
    bodyLimit: adminServerLimits.bodyBytes,
    requestTimeout: adminServerLimits.requestMs,
    keepAliveTimeout: adminServerLimits.keepAliveMs,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    logger: false,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => void refuse(reply, error, request, options),
    routerOptions: { maxParamLength: 256 },
  });
  boundConnections(app.server, { max: adminServerLimits.connections, provedBy: "handshake", clock: options.clock });
  app.setErrorHandler(async (error, request, reply) => await refuse(reply, error, request, options));
  app.setNotFoundHandler(async (request, reply) => {
    const problem = createProblem("ATOLL_NOT_FOUND", 404, `nothing answers ${request.method} ${pathOf(request).slice(0, 200)}`);
    return await reply.code(404).type(problemContentType).send(JSON.stringify(problem));
  });
  addBuiltIns(app, options);
  const watches = new Set<Promise<void>>();
  const answers = new Set<Promise<void>>();
  app.addHook("onRequest", async (_request, reply) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    answers.add(promise);
    reply.raw.once("close", () => {
      answers.delete(promise);
      resolve();
    });
  });
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
      await Promise.race([Promise.allSettled([...watches, ...answers]), sleep(options.clock, adminServerLimits.closeMs, giveUp.signal).catch(() => undefined)]);
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
    const caller = await callerOf(incoming, options.authenticate);
    const leaving = new AbortController();
    reply.raw.once("close", () => {
      // One that was answered leaves nothing behind that could be given up.
      if (!reply.raw.writableFinished) leaving.abort();
    });
    const signal = AbortSignal.any([stopping, leaving.signal]);
    const grants = options.grantsOf(caller);
    const read = (): AdminRequest<unknown, unknown, unknown> => {
      demandAccess(route, caller, grants, options);
      return { ...readParts(route, incoming), caller, demand: (scope) => demandWrite(caller, grants, scope, route.operationId) };
    };
    if (operation.watch !== undefined && isTrue(incoming.query, "watch")) {
      const request = read();
      if (watches.size >= adminServerLimits.watches) throw new AtollError("ATOLL_ADMIN_OVERLOADED", `${adminServerLimits.watches} watches are open`);
      const watch = serveWatch(operation.watch({ ...request, body: undefined }, signal), { reply, options, operationId: route.operationId });
      watches.add(watch);
      await watch;
      watches.delete(watch);
      return reply;
    }
    // Before anything is written down of it: what is refused for want of room leaves no trace, and may be sent again.
    using _place = await options.admission.of(route)?.enter(nameOfCaller(caller), signal);
    const handle = async (): Promise<AdminAnswer<unknown>> => await operation.handle(read(), signal);
    const { operationId, access } = route;
    const facts = { operationId, caller, grants, address: incoming.ip, path: pathOf(incoming), dryRun: isTrue(incoming.query, "dryRun"), hadPrecondition: hasPrecondition(incoming) };
    const answer = route.method === "GET" || access === "read" ? await handle() : await audited({ ...facts, access }, options.audit, options.clock, handle);
    if (answer.revision !== undefined) void reply.header("etag", `"${answer.revision}"`);
    const staleSinceMs = route.method === "GET" ? options.staleSinceMs?.() : undefined;
    if (staleSinceMs !== undefined) void reply.header(staleHeader, new Date(staleSinceMs).toISOString());
    if (answer.change !== undefined) void reply.header(outcomeHeader, answer.change.outcome);
    return await reply.code(answer.status ?? 200).header("cache-control", "no-store").send(answer.body);
  };
}

/** What may be judged before the request is read; a handler demands the rest. */
function demandAccess({ access, operationId }: AnyRoute, caller: Caller, grants: readonly Grant[], options: AdminServerOptions): void {
  if (access === "plane" ? options.isPlane(caller) : grants.some(({ role }) => access === "read" || role === "administrator" || (role === "operator" && access === "write"))) return;
  const need = { read: "any role", write: "an operator or an administrator", administer: "an administrator", plane: "a plane" }[access];
  throw new AtollError("ATOLL_ADMIN_FORBIDDEN", `${nameOfCaller(caller)} may not ${operationId}: that takes ${need}, and this caller is ${describeGrants(grants)}`);
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

async function refuse(reply: FastifyReply, error: unknown, incoming: FastifyRequest, options: AdminServerOptions): Promise<unknown> {
  const problem = ownProblem(error) ?? problemOf(error, hasPrecondition(incoming));
  if (problem.status === 401 || problem.status === 403) options.onRefused(problem.code);
  if (problem.status === 401) void reply.header("www-authenticate", 'Bearer realm="atoll"');
  if (error instanceof OverloadedError) void reply.header("retry-after", String(error.retryAfterSeconds));
  if (problem.status >= 500 && !isAtollError(error, "ATOLL_ABORTED")) options.onError(error, `${incoming.method} ${pathOf(incoming)}`);
  return await reply.code(problem.status).type(problemContentType).send(JSON.stringify(problem));
}

/** The problem of what fastify itself refused: a body that is too long, not JSON, or of another type. */
function ownProblem(error: unknown) {
  if (!(error instanceof Error) || !("statusCode" in error) || typeof error.statusCode !== "number") return undefined;
  if (error.statusCode < 400 || error.statusCode > 499) return undefined;
  return createProblem("ATOLL_REQUEST_INVALID", error.statusCode, error.statusCode === 413 ? `a body has at most ${adminServerLimits.bodyBytes} bytes` : error.message);
}

function hasPrecondition({ headers }: FastifyRequest): boolean {
  return headers["if-match"] !== undefined || headers["if-none-match"] !== undefined;
}

function isTrue(query: unknown, name: string): boolean {
  return typeof query === "object" && query !== null && (query as Readonly<Record<string, unknown>>)[name] === "true";
}

function pathOf(incoming: FastifyRequest): string {
  return incoming.url.split("?")[0] ?? "";
}
