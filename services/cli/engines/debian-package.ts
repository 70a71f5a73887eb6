import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { AtollError } from "#federation/runtime/errors.ts";
import { isExecutable, type FindEngineOptions } from "./executable.ts";

const run = promisify(execFile);

/** A download over a slow line; an engine has at most 10 MB. */
const commandTimeoutMs = 180_000;

/** A package, and the file in it that must be there afterwards. */
export interface DebianPackage {
  readonly name: string;
  readonly program: string;
}

/**
 * Unpacks a Debian package below `cacheDirectory` and returns its root there; what is there already is used again.
 * Nothing outside the cache directory is written. Safe when several processes do it at once: each unpacks into a
 * directory of its own, and the first to rename it wins.
 * @throws Error with what apt-get or dpkg said.
 */
export async function unpackDebianPackage(
  wanted: DebianPackage,
  cacheDirectory: string,
  options: FindEngineOptions,
  signal: AbortSignal,
): Promise<string> {
  const target = join(cacheDirectory, wanted.name);
  if (isExecutable(join(target, wanted.program))) return target;
  for (const tool of ["apt-get", "dpkg"]) {
    if (!isOnPath(tool, options.environment)) throw new AtollError("ATOLL_ENGINE_UNAVAILABLE", `this system has no ${tool}`);
  }
  mkdirSync(cacheDirectory, { recursive: true });
  const work = mkdtempSync(join(cacheDirectory, `.${wanted.name}-`));
  try {
    options.onProgress?.(`fetching ${wanted.name} from Debian's packages into ${cacheDirectory}`);
    const archive = await download(wanted.name, work, options, signal);
    const root = join(work, "root");
    mkdirSync(root);
    await run("dpkg", ["-x", archive, root], { signal, timeout: commandTimeoutMs });
    if (!isExecutable(join(root, wanted.program))) throw new Error(`the package has no ${wanted.program}`);
    publish(root, target, join(target, wanted.program));
    return target;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Puts the unpacked tree in its place, unless another process was faster. */
function publish(root: string, target: string, program: string): void {
  try {
    renameSync(root, target);
  } catch (error) {
    if (isExecutable(program)) return;
    // What stands there is the rest of something broken; it moves aside in one step, so nobody sees half of it.
    if (!existsSync(target)) throw error;
    renameSync(target, `${root}-broken`);
    renameSync(root, target);
  }
}

async function download(name: string, work: string, options: FindEngineOptions, signal: AbortSignal): Promise<string> {
  const directory = join(work, "download");
  mkdirSync(directory);
  const attempts = [[], privateLists(join(work, "apt"))];
  let failure: unknown;
  for (const [index, aptOptions] of attempts.entries()) {
    try {
      if (index > 0) {
        options.onProgress?.("reading Debian's package lists, since this system's are missing or old");
        await aptGet(["update"], aptOptions, directory, options, signal);
      }
      await aptGet(["download", name], aptOptions, directory, options, signal);
      const archive = readdirSync(directory).find((file) => file.endsWith(".deb"));
      if (archive === undefined) throw new Error("apt-get wrote no package");
      return join(directory, archive);
    } catch (error) {
      if (signal.aborted) throw error;
      failure = error;
    }
  }
  throw lastLine(failure);
}

/** Options that keep apt's lists and caches in a directory of ours; its sources and keys stay the system's. */
function privateLists(state: string): readonly string[] {
  for (const directory of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(state, directory), { recursive: true });
  return ["-o", `Dir::State::lists=${join(state, "lists")}`, "-o", `Dir::Cache=${join(state, "cache")}`];
}

async function aptGet(
  command: readonly string[],
  aptOptions: readonly string[],
  cwd: string,
  options: FindEngineOptions,
  signal: AbortSignal,
): Promise<void> {
  // As root apt downloads as the user _apt, who may not enter a private directory: then root does it, and apt
  // checks signatures all the same.
  const asOurselves = process.getuid?.() === 0 ? ["-o", "APT::Sandbox::User=root"] : [];
  chmodSync(cwd, 0o755);
  const env = { ...options.environment, LC_ALL: "C" };
  await run("apt-get", ["-q", "-y", ...asOurselves, ...aptOptions, ...command], { cwd, signal, timeout: commandTimeoutMs, env });
}

/** apt's own words, without the command line that Node puts before them. */
function lastLine(failure: unknown): Error {
  const output = failure instanceof Error && "stderr" in failure ? String(failure.stderr).trim().split("\n").at(-1) : undefined;
  return new Error(output === undefined || output === "" ? "apt-get failed" : output, { cause: failure });
}

function isOnPath(tool: string, environment: FindEngineOptions["environment"]): boolean {
  return (environment["PATH"] ?? "").split(":").some((directory) => directory !== "" && isExecutable(join(directory, tool)));
}
