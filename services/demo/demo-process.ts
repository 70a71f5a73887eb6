import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock, type Clock } from "#federation/runtime/clock.ts";
import { readConfigFile, type Field } from "#federation/runtime/config.ts";
import { describeError } from "#federation/runtime/errors.ts";

/** What every demo process reads besides its own part. */
export interface DemoConfig {
  readonly name: string;
  readonly dataDir: string;
}

/** A demo process that serves: the ports it listens on, and how it ends. */
export interface DemoService {
  readonly ports: Readonly<Record<string, number>>;
  /** Stops taking work, finishes what is in flight, then resolves. */
  drain(): Promise<void>;
}

/**
 * The frame of every demo process: `--config FILE`, exit code 2 with every fault on a bad configuration,
 * `<dataDir>/ready.json` once it serves, a clean end on SIGTERM and SIGINT.
 */
export async function runDemoProcess<C extends DemoConfig>(
  args: readonly string[],
  field: Field<C>,
  start: (config: C, clock: Clock) => Promise<DemoService>,
): Promise<void> {
  const [flag, path, ...rest] = args;
  if (flag !== "--config" || path === undefined || rest.length > 0) return fail(2, "usage: --config FILE");
  let config: C;
  try {
    config = readConfigFile(path, field);
  } catch (error) {
    return fail(2, describeError(error));
  }
  let service: DemoService;
  try {
    service = await start(config, systemClock);
  } catch (error) {
    return fail(1, `${config.name}: ${describeError(error)}`);
  }
  writeReady(config.dataDir, service.ports);
  const stop = (): void => {
    void service.drain().then(() => process.exit(0));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

/** Writes `ready.json` atomically: whoever sees it sees all of it. */
export function writeReady(dataDir: string, ports: Readonly<Record<string, number>>): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const target = join(dataDir, "ready.json");
  writeFileSync(`${target}.new`, JSON.stringify({ pid: process.pid, ports }));
  renameSync(`${target}.new`, target);
}

function fail(code: number, message: string): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}
