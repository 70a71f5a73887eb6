import type { Stats } from "node:fs";
import { chmod, lstat, mkdir, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { closeServer, listen } from "#federation/runtime/listen.ts";
import { checkSocketPath } from "#federation/runtime/socket-path.ts";

/** Who may open the socket: the sidecar's own user, or its group too. */
export type SocketMode = "0600" | "0660";

export interface WorkloadSocketOptions {
  /** Absolute, and of a length that a socket's may have. */
  readonly path: string;
  readonly mode: SocketMode;
  readonly accept: (socket: Socket) => void;
  /** Most connections at a time; more are closed at once. */
  readonly connectionsMax: number;
  readonly onDropped: () => void;
}

/** A listening socket file. */
export interface WorkloadSocket {
  /** Removes the file unless it has become another's, and accepts nothing new; resolves once no connection is left. When `signal` aborts they are cut. */
  drain(signal: AbortSignal): Promise<void>;
}

const othersMayWrite = 0o022;

/**
 * Listens on a socket file that nobody but the owner, or the group, can open at any moment: it is made inside a directory of its own, given
 * its mode there and only then put into its place, where it replaces one that a killed process has left behind.
 * @throws {ATOLL_SOCKET_UNSAFE} when others could put another file into its place. @throws {ATOLL_SOCKET_TAKEN} when another process
 * answers there, or something else than a socket has the name. @throws {ATOLL_CONFIG_INVALID} when the directory's path is too long for that.
 */
export async function openWorkloadSocket({ path, mode, accept, connectionsMax, onDropped }: WorkloadSocketOptions): Promise<WorkloadSocket> {
  const directory = dirname(path);
  checkSocketPath(madeIn(`${directory}/.XXXXXX`), `choose a directory with a shorter path than ${directory}`);
  await makeDirectory(directory, mode);
  checkDirectory(directory, await stat(directory));
  await checkFree(path);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // Whoever is gone needs no answer; close cleans up.
    socket.on("error", () => socket.destroy());
    accept(socket);
  });
  server.maxConnections = connectionsMax;
  server.on("drop", onDropped);
  const workshop = await mkdtemp(`${directory}/.`);
  const made = madeIn(workshop);
  let own: Stats;
  try {
    await listen(server, { path: made });
    await chmod(made, Number.parseInt(mode, 8));
    own = await stat(made);
    await rename(made, path);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  return {
    async drain(signal) {
      await removeOwn(path, own);
      const closed = closeServer(server);
      const cut = (): void => sockets.forEach((socket) => socket.destroy());
      signal.addEventListener("abort", cut, { once: true });
      if (signal.aborted) cut();
      await closed;
      signal.removeEventListener("abort", cut);
    },
  };
}

function madeIn(workshop: string): string {
  return `${workshop}/s`;
}

async function removeOwn(path: string, own: Stats): Promise<void> {
  const found = await look(path);
  if (found !== undefined && found.ino === own.ino && found.dev === own.dev) await rm(path, { force: true });
}

/** The last directory of the path is made where it is missing; those above it are the operator's. */
async function makeDirectory(directory: string, mode: SocketMode): Promise<void> {
  try {
    await mkdir(directory, { mode: mode === "0660" ? 0o750 : 0o700 });
  } catch (error) {
    if (hasCode(error, "EEXIST")) return;
    throw new AtollError("ATOLL_SOCKET_UNSAFE", `the directory ${directory}, for the socket of the Workload API, is missing and could not be made: ${describeError(error)}. Make it, for the sidecar's user`, { cause: error });
  }
}

function checkDirectory(directory: string, stats: Stats): void {
  const us = process.getuid?.();
  const isOwned = us === undefined || stats.uid === us || stats.uid === 0;
  if (stats.isDirectory() && isOwned && (stats.mode & othersMayWrite) === 0) return;
  const why = isOwned ? `may be written to by others than its owner (its mode is ${(stats.mode & 0o7777).toString(8)})` : `belongs to another user (${stats.uid})`;
  throw new AtollError(
    "ATOLL_SOCKET_UNSAFE",
    `the directory ${directory}, for the socket of the Workload API, ${stats.isDirectory() ? why : "is no directory"}: whoever can put a socket there can tell applications whom to trust. Take that right away (chmod go-w ${directory}), or choose another directory in workloadApi.path`,
  );
}

/** Nothing, or a socket on which nobody answers. */
async function checkFree(path: string): Promise<void> {
  const found = await look(path);
  if (found === undefined) return;
  if (!found.isSocket()) throw new AtollError("ATOLL_SOCKET_TAKEN", `${path} is no socket, so it is not replaced: move it away, or choose another path in workloadApi.path`);
  const answer = await probe(path);
  if (answer === "refused") return;
  const why = answer === "answers" ? "another process answers on it" : `whether a process answers on it could not be found out (${answer})`;
  throw new AtollError("ATOLL_SOCKET_TAKEN", `${path} is not replaced: ${why}. Stop that process, or choose another path in workloadApi.path`);
}

/** "refused" when no process listens on the socket any more; otherwise what happened. */
function probe(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve("answers");
    });
    socket.once("error", (error) => resolve(hasCode(error, "ECONNREFUSED", "ENOENT") ? "refused" : describeError(error)));
  });
}

async function look(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.some((code) => code === error.code);
}
