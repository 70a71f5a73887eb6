import { execFile } from "node:child_process";
import { join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { currentProgram } from "../programs/built-program.ts";

/** Where Atoll is installed, and what its programs are run by. */
export interface Installation {
  readonly node: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs the global plane's `init` with `words` over the federation's keys in `keysDir`: what is there is left as it is, and
 * certificates are made anew.
 * @throws {ATOLL_PROCESS_FAILED} with what it complained of; also when `signal` ends it.
 */
export async function runInit({ node, home, env }: Installation, keysDir: string, words: readonly string[], signal: AbortSignal): Promise<void> {
  const args = [currentProgram(home, join(home, "services/global/main.ts")), "init", "--data", keysDir, ...words];
  await new Promise<void>((resolve, reject) => {
    execFile(node, args, { cwd: home, env: { ...env }, signal }, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else reject(new AtollError("ATOLL_PROCESS_FAILED", `the federation's keys could not be made: ${stderr.trim() || error.message}`));
    });
  });
}
