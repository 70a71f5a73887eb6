import { rmSync } from "node:fs";
import { join } from "node:path";
import { describeError } from "#federation/runtime/errors.ts";
import { builtFolder } from "#federation/runtime/installation.ts";
import { isCurrent, readManifest } from "./programs-manifest.ts";

/** How the programs of an installation are to be run: as they were built, or from their sources, and why. */
export type ProgramsState = { readonly kind: "current" | "built" } | { readonly kind: "sources"; readonly reason: string };

/** Builds the programs of `sources` where they have changed. Where that cannot be done they run from their sources, slower to start. */
export async function ensurePrograms(home: string, sources: readonly string[], onBuild: () => void): Promise<ProgramsState> {
  try {
    const manifest = readManifest(home);
    if (manifest !== undefined && isCurrent(home, manifest)) return { kind: "current" };
    onBuild();
    const { buildPrograms } = await import("./build-programs.ts");
    await buildPrograms(home, sources);
    return { kind: "built" };
  } catch (error) {
    forgetBuilt(home);
    return { kind: "sources", reason: describeError(error) };
  }
}

/** What is left of an earlier build is not what the sources say. */
function forgetBuilt(home: string): void {
  try {
    rmSync(join(home, builtFolder), { recursive: true, force: true });
  } catch {
    // Nothing can be written there: then nothing was built there either, or it came with the installation.
  }
}
