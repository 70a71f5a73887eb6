import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { unpackDebianPackage } from "#services/cli/engines/debian-package.ts";
import { isExecutable } from "#services/cli/engines/executable.ts";
import type { FindEngineOptions } from "#services/cli/engines/executable.ts";
import { enginesCacheDirectory } from "#services/cli/engines/find-engine.ts";

const run = promisify(execFile);

/** A program to start, with the environment in which it finds its shared libraries. */
export interface Tool {
  readonly path: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The peers and the load generator. */
export interface BenchTools {
  readonly haproxy: Tool;
  readonly nginx: Tool;
  readonly wrk: Tool;
}

const programs = { haproxy: "usr/sbin/haproxy", nginx: "usr/sbin/nginx", wrk: "usr/bin/wrk" } as const;

/** Libraries of libraries: nothing measured here goes deeper. */
const libraryRoundsMax = 4;

/** Finds each tool on PATH or in the system's places, else unpacks Debian's package of it and of the libraries it misses; nothing is installed. */
export async function findTools(options: FindEngineOptions, signal: AbortSignal): Promise<BenchTools> {
  return {
    haproxy: await findTool("haproxy", options, signal),
    nginx: await findTool("nginx", options, signal),
    wrk: await findTool("wrk", options, signal),
  };
}

async function findTool(name: keyof typeof programs, options: FindEngineOptions, signal: AbortSignal): Promise<Tool> {
  const { environment } = options;
  const directories = [...(environment["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];
  const installed = directories.map((directory) => join(directory, name)).find(isExecutable);
  if (installed !== undefined) return { path: installed, environment };
  const root = await unpackDebianPackage({ name, program: programs[name] }, enginesCacheDirectory(environment), options, signal);
  return withLibraries(join(root, programs[name]), options, signal);
}

/** Unpacks Debian's packages of the libraries that `program` misses, until none is. */
async function withLibraries(program: string, options: FindEngineOptions, signal: AbortSignal): Promise<Tool> {
  const directories: string[] = [];
  for (let round = 0; ; round++) {
    const environment = directories.length === 0 ? options.environment : { ...options.environment, LD_LIBRARY_PATH: directories.join(delimiter) };
    const missing = await missingLibraries(program, environment, signal);
    if (missing.length === 0) return { path: program, environment };
    if (round === libraryRoundsMax) throw new Error(`${program} still misses ${missing.join(", ")}`);
    for (const library of missing) {
      const name = packageOfLibrary(library);
      // Every Debian package has this directory (Debian policy §12.5), whatever else is in it.
      const wanted = { name, program: join("usr/share/doc", name) };
      directories.push(...libraryDirectories(await unpackDebianPackage(wanted, enginesCacheDirectory(options.environment), options, signal)));
    }
  }
}

async function missingLibraries(program: string, environment: Tool["environment"], signal: AbortSignal): Promise<readonly string[]> {
  const { stdout } = await run("ldd", [program], { env: environment, signal });
  return [...stdout.matchAll(/^\s*(\S+) => not found$/gm)].map((match) => match[1] ?? "");
}

/** Debian's name for the package of a shared library: its name and version, with a dash between two digits (policy §8.1). */
export function packageOfLibrary(soname: string): string {
  const parts = /^(lib.+)\.so\.(\d+)/.exec(soname);
  if (parts === null) throw new Error(`no package is named after ${soname}`);
  const name = (parts[1] ?? "").toLowerCase().replaceAll("_", "-");
  return /\d$/.test(name) ? `${name}-${parts[2]}` : `${name}${parts[2]}`;
}

function libraryDirectories(root: string): readonly string[] {
  return ["usr/lib", "lib"]
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => [folder, ...readdirSync(folder).filter((name) => name.endsWith("-linux-gnu")).map((name) => join(folder, name))]);
}
