import { execFileSync } from "node:child_process";
import type { AddressInfo, ListenOptions, Server } from "node:net";
import { AtollError } from "./errors.ts";

/**
 * Resolves once `server` listens.
 * @throws {ATOLL_PORT_TAKEN} naming the port and, where the system tells, by whom; the platform's error for anything else.
 */
export async function listen(server: Server, options: ListenOptions): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(options, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    throw explainListenError(error, options);
  }
}

/** What to throw for `error`, which listening on `options` threw. */
export function explainListenError(error: unknown, { host, port }: ListenOptions): unknown {
  if (port === undefined || !isAddressInUse(error)) return error;
  const by = portOwner(port) ?? "another process";
  return new AtollError("ATOLL_PORT_TAKEN", `port ${port} of ${host ?? "this machine"} is in use by ${by}`, { cause: error, details: { port } });
}

/** The port that a listening server got. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Accepts nothing new; resolves once no connection is left. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

/** `name (pid 123)` of who listens on `port`, when lsof is there and we may see it. */
export function portOwner(port: number): string | undefined {
  try {
    const out = execFileSync("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 3_000 });
    const pid = /^p(\d+)$/m.exec(out)?.[1];
    const name = /^c(.+)$/m.exec(out)?.[1];
    return pid === undefined ? undefined : `${name ?? "a process"} (pid ${pid})`;
  } catch {
    return undefined;
  }
}

/** True for the platform's word that an address is taken. */
export function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}
