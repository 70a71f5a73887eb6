import { isIP, type NetConnectOpts } from "node:net";
import { AtollError } from "#federation/runtime/errors.ts";

/** Where a socket hub listens. */
export type SocketAddress = { readonly kind: "unix"; readonly path: string } | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** The kernel's bound for a socket's path (sun_path: 108 bytes on Linux, 104 on macOS, with the ending zero). */
const unixPathBytesMax = 103;

/**
 * Reads `/a/path` or `tcp://127.0.0.1:4333`. TCP is for loopback only: the hub knows its clients by who may open
 * the socket, and on TCP that is everybody on the machine.
 * @throws {ATOLL_CONFIG_INVALID}
 */
export function parseSocketAddress(text: string): SocketAddress {
  if (!text.startsWith("tcp://")) {
    const bytes = Buffer.byteLength(text);
    if (bytes === 0 || bytes > unixPathBytesMax) {
      throw new AtollError("ATOLL_CONFIG_INVALID", `the socket path ${text} has ${bytes} bytes; the system allows ${unixPathBytesMax}: choose a shorter data directory`);
    }
    return { kind: "unix", path: text };
  }
  const match = /^tcp:\/\/(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  const isLoopback = (isIP(host) === 4 && host.startsWith("127.")) || host === "::1";
  if (!isLoopback || !(port <= 65_535)) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `not a socket path or tcp://<loopback address>:<port>: ${text}`);
  }
  return { kind: "tcp", host, port };
}

/** The address as `parseSocketAddress` reads it. */
export function formatSocketAddress(address: SocketAddress): string {
  if (address.kind === "unix") return address.path;
  return `tcp://${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** For `net.connect`. */
export function connectOptions(address: SocketAddress): NetConnectOpts {
  return address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port, autoSelectFamily: false, noDelay: true };
}
