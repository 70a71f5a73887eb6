import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { isAbort } from "./lifecycle.ts";
import { describeError, isAtollError } from "./errors.ts";

/** Ports that a process got, by name, for whoever configured 0. */
export type ReadyPorts = Readonly<Record<string, number>>;

/**
 * Writes `<dataDir>/ready.json` in one step, so that a reader sees all of it or nothing. Node keeps what it compiled
 * only at an orderly exit; here it is kept now, so that a process that is killed starts quickly too.
 */
export function writeReadyFile(dataDir: string, ports: ReadyPorts): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, "ready.json");
  writeFileSync(`${path}.tmp`, JSON.stringify({ pid: process.pid, ports }), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
  flushCompileCache();
}

/** As long as a timer may be (Node docs, timers): it is there to keep the process alive, and does nothing. */
const keepAliveMs = 0x7fff_ffff;

/**
 * Runs a process: SIGTERM and SIGINT abort the signal (a second one ends the process at once), and the process
 * exits 0 after a normal end, 2 for a configuration that cannot be used, 1 for anything else.
 * @param drainMsMax how long the end may take after the signal; then the process exits 1.
 */
export function runProcess(main: (signal: AbortSignal) => Promise<void>, drainMsMax = 30_000): void {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort(new Error(`received ${name}`));
    setTimeout(() => fail(new Error(`not drained within ${drainMsMax} ms`)), drainMsMax).unref();
  };
  // The clock's timers do not: who waits for the next try, and has nothing open meanwhile, would end as if all were done.
  setInterval(() => undefined, keepAliveMs);
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  main(stop.signal).then(
    () => process.exit(0),
    (error: unknown) => (stop.signal.aborted && isAbort(error) ? process.exit(0) : fail(error)),
  );
}

function fail(error: unknown): never {
  const code = isAtollError(error) ? `${error.code}: ` : "";
  process.stderr.write(`${code}${describeError(error)}\n`);
  if (!isAtollError(error) && error instanceof Error && error.stack !== undefined) process.stderr.write(`${error.stack}\n`);
  process.exit(isAtollError(error, "ATOLL_CONFIG_INVALID") ? 2 : 1);
}
