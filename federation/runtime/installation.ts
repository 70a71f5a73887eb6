import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** Where the installation's programs stand in one file each, below its directory; absent where nobody has built them. */
export const builtFolder = "dist/programs";

/** The directory of the installation that this code is of: the nearest one with a package. Built code stands below it as well as sources do. */
export const installationDirectory = nearestPackage(import.meta.dirname);

/** Sources are run as they are; what was built is JavaScript. */
const runsFromSources = import.meta.filename.endsWith(".ts");

/** The path of a file that is read as it is, by its path in the installation. */
export function installedFile(path: string): string {
  return join(installationDirectory, path);
}

/** The path of a program, by its source's path in the installation: built where this code is, so that both are of one time. */
export function installedProgram(source: string): string {
  return runsFromSources ? installedFile(source) : installedFile(builtName(source));
}

/** Where the program of `source` stands once it is built; both relative to the installation. */
export function builtName(source: string): string {
  return `${builtFolder}/${source.replace(/\.ts$/, ".js")}`;
}

function nearestPackage(from: string): string {
  for (let at = from; ; at = dirname(at)) {
    if (existsSync(join(at, "package.json")) || dirname(at) === at) return at;
  }
}
