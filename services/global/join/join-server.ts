import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { joinPath, joinRequestSchema, type JoinAnswer, type JoinRequest } from "#federation/admin-api/join-contract.ts";
import { problemOf } from "#federation/admin-api/problem.ts";
import { boundConnections } from "#federation/runtime/bound-connections.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import { createServerContextOptions, createServerTlsOptions, type TlsMaterial } from "#federation/identity/tls-options.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { Watched } from "#federation/runtime/watched.ts";

/** Bounds of the port that anybody may reach. */
export const joinServerLimits = { bodyBytes: 512 * 1024, connections: 256, requestMs: 10_000 } as const;

export interface JoinServerOptions {
  readonly address: string;
  readonly port: number;
  readonly material: Watched<TlsMaterial>;
  /** Presented in the handshake, so that whoever holds only its hash can find it. */
  readonly rootPem: string;
  /** `address` is where the connection comes from. */
  readonly join: (request: JoinRequest & { readonly address: string }, signal: AbortSignal) => Promise<JoinAnswer>;
  /** Outlives the server, so that losing the leadership forgives nobody. */
  readonly guard: JoinGuard;
  /** Hears of refused and failed requests. */
  readonly onError: (error: unknown) => void;
}

export interface JoinServer extends AsyncDisposable {
  readonly port: number;
}

/** The HTTPS port where cluster planes join: TLS by the server's certificate only, a join token or an attested document is the caller's proof. */
export async function openJoinServer(options: JoinServerOptions, signal: AbortSignal): Promise<JoinServer> {
  const [root = new Uint8Array()] = parseChainPem(options.rootPem);
  const server = createServer(
    {
      ...createServerTlsOptions(options.material.current, { clients: "none", presentedRoot: root }),
      requestTimeout: joinServerLimits.requestMs,
      headersTimeout: joinServerLimits.requestMs,
      handshakeTimeout: joinServerLimits.requestMs,
    },
    (request, response) => {
      answer(request, response, options, signal).catch((error: unknown) => {
        options.onError(error);
        response.destroy();
      });
    },
  );
  boundConnections(server, { max: joinServerLimits.connections, provedBy: "request", clock: systemClock });
  await listen(server, { host: options.address, port: options.port });
  const closing = new AbortController();
  const following = followMaterial(server, options, root, AbortSignal.any([signal, closing.signal]));
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      closing.abort();
      await following;
      server.closeAllConnections();
      await closeServer(server);
    },
  };
}

async function followMaterial(server: Server, { material }: JoinServerOptions, root: Uint8Array, signal: AbortSignal): Promise<void> {
  for await (const current of material.changes(signal)) server.setSecureContext(createServerContextOptions(current, root));
}

async function answer(request: IncomingMessage, response: ServerResponse, options: JoinServerOptions, signal: AbortSignal): Promise<void> {
  const address = request.socket.remoteAddress ?? "unknown";
  try {
    options.guard.enter(address);
    if (request.method !== "POST" || request.url !== joinPath) throw new AtollError("ATOLL_NOT_FOUND", `only POST ${joinPath} is answered here`);
    const parsed = joinRequestSchema.safeParse(await readJson(request));
    if (!parsed.success) throw new AtollError("ATOLL_REQUEST_INVALID", "the join request does not have its form");
    send(response, 200, await options.join({ ...parsed.data, address }, signal));
  } catch (error) {
    // What is our own trouble, or the guard's own word, does not count against the caller.
    if (!isAtollError(error, "ATOLL_JOIN_OVERLOADED", "ATOLL_STORE_UNAVAILABLE", "ATOLL_STORE_UNWRITABLE", "ATOLL_ABORTED", "ATOLL_INTERNAL")) options.guard.refused(address);
    options.onError(error);
    const problem = problemOf(error, false);
    send(response, problem.status, problem);
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > joinServerLimits.bodyBytes) throw new AtollError("ATOLL_REQUEST_INVALID", `the request exceeds ${joinServerLimits.bodyBytes} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch {
    throw new AtollError("ATOLL_REQUEST_INVALID", "the request is not JSON");
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": status === 200 ? "application/json" : "application/problem+json", connection: "close" });
  response.end(JSON.stringify(body));
}
