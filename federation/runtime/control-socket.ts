import { chmod, rm } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { AtollError, describeError, isAtollError } from "./errors.ts";
import { errorCatalog, type ErrorCode } from "./error-catalog.ts";
import { abortedError, deadlineSignal, type Clock } from "./clock.ts";
import { closeServer, listen } from "./listen.ts";
import { checkSocketPath } from "./socket-path.ts";

/** What a control server answers: operation name → handler. What a handler throws reaches the client as an error with its code. */
export type ControlHandlers = Readonly<Record<string, (params: unknown, signal: AbortSignal) => unknown>>;

/** One connection to a control server; requests may overlap. */
export interface ControlClient extends AsyncDisposable {
  /** @throws {ATOLL_TIMEOUT | ATOLL_CONTROL_UNAVAILABLE} and whatever code the handler threw. */
  request(operation: string, params: unknown, timeoutMs: number, signal: AbortSignal): Promise<unknown>;
}

/** A longer line is not a control message. */
const lineBytesMax = 8 * 1024 * 1024;
/** Requests of one connection that are being answered at once. */
const requestsInFlightMax = 64;
const shorterDataDir = "choose a shorter data directory (--data)";

/**
 * Serves `handlers` on the unix socket `path` (mode 0600), one JSON object per line each way:
 * `{id, op, params}` → `{id, result}` or `{id, error: {code, message}}`. A stale socket file is replaced.
 * @throws {ATOLL_CONFIG_INVALID} when the path is too long for a unix socket.
 */
export async function openControlServer(path: string, handlers: ControlHandlers): Promise<AsyncDisposable> {
  checkSocketPath(path, shorterDataDir);
  const stopper = new AbortController();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serveConnection(socket, handlers, stopper.signal);
  });
  await rm(path, { force: true });
  await listen(server, { path });
  await chmod(path, 0o600);
  return {
    async [Symbol.asyncDispose]() {
      stopper.abort();
      for (const socket of sockets) socket.destroy();
      await closeServer(server);
      await rm(path, { force: true });
    },
  };
}

/** @throws {ATOLL_CONTROL_UNAVAILABLE} when nobody serves `path`. */
export async function openControlClient(path: string, clock: Clock): Promise<ControlClient> {
  checkSocketPath(path, shorterDataDir);
  const socket = await connect(path);
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let nextId = 1;
  let closed = false;
  readLines(socket, (line) => settle(line, waiting));
  socket.on("error", () => {
    // The close that follows tells everybody who waits.
  });
  socket.once("close", () => {
    closed = true;
    for (const entry of waiting.values()) entry.reject(new AtollError("ATOLL_CONTROL_UNAVAILABLE", `the process behind ${path} closed the connection`));
    waiting.clear();
  });
  return {
    async request(operation, params, timeoutMs, signal) {
      if (closed) throw new AtollError("ATOLL_CONTROL_UNAVAILABLE", `the process behind ${path} is gone`);
      if (signal.aborted) throw abortedError(signal);
      using deadline = deadlineSignal(clock, timeoutMs, signal);
      const id = nextId++;
      return await new Promise<unknown>((resolve, reject) => {
        const onAbort = (): void => {
          waiting.delete(id);
          reject(signal.aborted ? abortedError(signal) : new AtollError("ATOLL_TIMEOUT", `${operation}: no answer within ${timeoutMs} ms`));
        };
        deadline.signal.addEventListener("abort", onAbort, { once: true });
        const done = (): void => deadline.signal.removeEventListener("abort", onAbort);
        waiting.set(id, {
          resolve: (value) => (done(), resolve(value)),
          reject: (error) => (done(), reject(error)),
        });
        socket.write(`${JSON.stringify({ id, op: operation, params })}\n`);
      });
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

function serveConnection(socket: Socket, handlers: ControlHandlers, signal: AbortSignal): void {
  let inFlight = 0;
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  socket.on("error", () => {
    // A client that vanished needs no answer; close cleans up.
  });
  const either = AbortSignal.any([signal, gone.signal]);
  const answer = (message: object): void => {
    if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
  };
  readLines(socket, (line) => {
    const request = parseRequest(line);
    if (request === undefined || inFlight >= requestsInFlightMax) {
      socket.destroy();
      return;
    }
    inFlight++;
    void handle(request, handlers, either)
      .then((result) => answer({ id: request.id, result }))
      .catch((error: unknown) => answer({ id: request.id, error: encodeError(error) }))
      .finally(() => inFlight--);
  });
}

async function handle(request: { readonly op: string; readonly params: unknown }, handlers: ControlHandlers, signal: AbortSignal): Promise<unknown> {
  const handler = Object.hasOwn(handlers, request.op) ? handlers[request.op] : undefined;
  if (handler === undefined) throw new AtollError("ATOLL_CONTROL_REFUSED", `unknown operation ${request.op}`);
  return (await handler(request.params, signal)) ?? null;
}

function parseRequest(line: string): { readonly id: number; readonly op: string; readonly params: unknown } | undefined {
  try {
    const { id, op, params } = JSON.parse(line) as { id?: unknown; op?: unknown; params?: unknown };
    return typeof id === "number" && typeof op === "string" ? { id, op, params } : undefined;
  } catch {
    return undefined;
  }
}

function encodeError(error: unknown): { readonly code: string; readonly message: string } {
  return { code: isAtollError(error) ? error.code : "ATOLL_CONTROL_REFUSED", message: describeError(error) };
}

function settle(line: string, waiting: Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>): void {
  const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: { code: string; message: string } };
  const entry = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) entry?.resolve(result);
  else entry?.reject(new AtollError(Object.hasOwn(errorCatalog, error.code) ? (error.code as ErrorCode) : "ATOLL_CONTROL_REFUSED", error.message));
}

function readLines(socket: Socket, onLine: (line: string) => void): void {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    rest += chunk;
    for (let end = rest.indexOf("\n"); end !== -1; end = rest.indexOf("\n")) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      onLine(line);
    }
    if (rest.length > lineBytesMax) socket.destroy();
  });
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const onError = (error: Error): void => reject(new AtollError("ATOLL_CONTROL_UNAVAILABLE", `nothing answers on ${path}`, { cause: error }));
    socket.once("error", onError);
    socket.once("connect", () => {
      socket.off("error", onError);
      resolve(socket);
    });
  });
}
