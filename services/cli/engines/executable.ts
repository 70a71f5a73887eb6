import { accessSync, constants } from "node:fs";

/** What finding an engine needs to know of its surroundings. */
export interface FindEngineOptions {
  /** The program's environment, as its main.ts read it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Hears one sentence before anything that takes long. */
  readonly onProgress?: (sentence: string) => void;
}

/** True when `path` is a file that this user may run. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent, or not for us: either way this is not the program.
    return false;
  }
}
