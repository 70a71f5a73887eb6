import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { unpackDebianPackage } from "./debian-package.ts";
import { isExecutable, type FindEngineOptions } from "./executable.ts";

/** A real engine that Atoll can run on. */
export type EngineName = "etcd" | "nats-server";

/** The Debian package of each engine, and where its program lies inside. */
const packages: Readonly<Record<EngineName, { readonly name: string; readonly program: string }>> = {
  etcd: { name: "etcd-server", program: "usr/bin/etcd" },
  "nats-server": { name: "nats-server", program: "usr/sbin/nats-server" },
};

/** Where daemons lie that are not on a user's PATH. */
const furtherDirectories = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"];

/**
 * The path of the engine's program: from PATH or the system's usual places, else unpacked from Debian's package
 * into the cache directory. Installs nothing on the system.
 * @throws {ATOLL_ENGINE_UNAVAILABLE} saying what was tried.
 */
export async function findEngine(name: EngineName, options: FindEngineOptions, signal: AbortSignal): Promise<string> {
  const installed = findInstalled(name, options.environment);
  if (installed !== undefined) return installed;
  try {
    const root = await unpackDebianPackage(packages[name], enginesCacheDirectory(options.environment), options, signal);
    return join(root, packages[name].program);
  } catch (error) {
    throw new AtollError(
      "ATOLL_ENGINE_UNAVAILABLE",
      `${name} is not on PATH and could not be had from Debian's package ${packages[name].name}: ${describeError(error)}`,
      { cause: error, details: { engine: name } },
    );
  }
}

/** The engine's program if it is installed on this machine. */
export function findInstalled(name: EngineName, environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const directories = [...(environment["PATH"] ?? "").split(delimiter), ...furtherDirectories];
  return directories.filter((directory) => directory !== "").map((directory) => join(directory, name)).find(isExecutable);
}

/** Where unpacked engines are kept: `$XDG_CACHE_HOME/atoll/engines`, or the same under `~/.cache`. */
export function enginesCacheDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const configured = environment["XDG_CACHE_HOME"];
  return join(configured === undefined || configured === "" ? join(homedir(), ".cache") : configured, "atoll", "engines");
}
