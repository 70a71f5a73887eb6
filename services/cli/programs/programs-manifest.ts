import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { builtFolder } from "#federation/runtime/installation.ts";

/** Where a build says what it was made of, below the installation. */
export const manifestName = `${builtFolder}/manifest.json`;

/** What a build was made of. Paths are relative to the installation. */
export interface ProgramsManifest {
  /** SHA-256 of what built it: another builder makes other files of the same sources. */
  readonly builder: string;
  /** SHA-256 of each source of ours, and of the lock file, which stands for the libraries. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: readonly string[];
}

const lockFile = "package-lock.json";
const builder = digestOf(join(import.meta.dirname, "build-programs.ts")) ?? "";

/** Says what the sources are now, of which `outputs` were made. */
export function describeBuild(home: string, inputs: readonly string[], outputs: readonly string[]): ProgramsManifest {
  const own = [...inputs.filter((path) => !path.split("/").includes("node_modules")), lockFile];
  return { builder, inputs: Object.fromEntries(own.map((path) => [path, digestOf(join(home, path)) ?? ""])), outputs };
}

/** Whether the sources are still those that were built. A file that has come since counts once one that was there names it. */
export function isCurrent(home: string, manifest: ProgramsManifest): boolean {
  return manifest.builder === builder && Object.entries(manifest.inputs).every(([path, digest]) => digestOf(join(home, path)) === digest);
}

/** The last build's; undefined where there is none, or its manifest is not whole. */
export function readManifest(home: string): ProgramsManifest | undefined {
  try {
    const { builder: by = "", inputs, outputs } = JSON.parse(readFileSync(join(home, manifestName), "utf8")) as Partial<ProgramsManifest>;
    return inputs === undefined || outputs === undefined ? undefined : { builder: by, inputs, outputs };
  } catch {
    return undefined;
  }
}

function digestOf(path: string): string | undefined {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch {
    return undefined;
  }
}
