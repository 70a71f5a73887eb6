import { existsSync } from "node:fs";
import { join } from "node:path";
import { builtName } from "#federation/runtime/installation.ts";

/** The built form of the source at `path`, where the installation `home` has one; every other path stays as it is. */
export function builtProgram(home: string, path: string): string {
  if (!path.startsWith(`${home}/`) || !path.endsWith(".ts")) return path;
  const built = join(home, builtName(path.slice(home.length + 1)));
  return existsSync(built) ? built : path;
}
