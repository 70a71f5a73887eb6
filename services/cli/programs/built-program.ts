import { existsSync } from "node:fs";
import { join } from "node:path";
import { builtName } from "#federation/runtime/installation.ts";
import { isCurrent, readManifest } from "./programs-manifest.ts";

/** The built form of the source at `path`, where the installation `home` has one; every other path stays as it is. */
export function builtProgram(home: string, path: string): string {
  if (!path.startsWith(`${home}/`) || !path.endsWith(".ts")) return path;
  const built = join(home, builtName(path.slice(home.length + 1)));
  return existsSync(built) ? built : path;
}

/** The same, for a command that nobody builds anything for: an older build of an installation that was updated since does not know what it asks for. O(sources), some tens of ms. */
export function currentProgram(home: string, path: string): string {
  const built = builtProgram(home, path);
  if (built === path || !existsSync(path)) return built;
  const manifest = readManifest(home);
  return manifest !== undefined && isCurrent(home, manifest) ? built : path;
}
