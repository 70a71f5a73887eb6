import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { getContainerRuntimeClient, type ContainerRuntimeClient } from "testcontainers";
import { describeError } from "#federation/runtime/errors.ts";

// The reaper is an image of a registry; everything started here is removed by whoever started it.
process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";

/** What images are made with, besides the engine itself. */
const tools = ["docker", "mmdebstrap", "git", "npm"];

/** What a suite on containers is called, and the engine that it runs on where there is one. */
export interface EngineFound {
  readonly client: ContainerRuntimeClient | undefined;
  /** Empty, or in brackets why the suite is left out, for its title. */
  readonly leftOut: string;
}

/**
 * The container engine of this machine. Where none answers, or images cannot be made, suites on containers are left out
 * with the reason in their titles.
 */
export async function findContainerEngine(): Promise<EngineFound> {
  try {
    const missing = tools.filter((tool) => !isOnPath(tool));
    if (missing.length > 0) throw new Error(`images cannot be made without ${missing.join(", ")}`);
    return { client: await getContainerRuntimeClient(), leftOut: "" };
  } catch (error) {
    return { client: undefined, leftOut: ` (left out: ${describeError(error)})` };
  }
}

/** The words that compose is called by: Docker's plugin, or else Debian's program of its own. */
export async function findCompose(): Promise<{ readonly words: readonly string[]; readonly leftOut: string }> {
  const hasPlugin = await promisify(execFile)("docker", ["compose", "version"]).then(
    () => true,
    () => false,
  );
  if (hasPlugin) return { words: ["docker", "compose"], leftOut: "" };
  if (isOnPath("docker-compose")) return { words: ["docker-compose"], leftOut: "" };
  return { words: [], leftOut: " (left out: there is no docker compose)" };
}

function isOnPath(tool: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((directory) => directory !== "" && existsSync(join(directory, tool)));
}
