import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { EngineName } from "./find-engine.ts";

/** How to start one engine. */
export interface StartEngineOptions {
  readonly name: EngineName;
  /** From `findEngine`. */
  readonly program: string;
  readonly args: readonly string[];
  /** Standard output and error are appended here, so that the engine does not depend on the life of its starter. */
  readonly logFile: string;
  readonly clock: Clock;
  /** 30 s unless told. */
  readonly readyTimeoutMs?: number;
  /** True for an engine that outlives the process that started it. */
  readonly isDetached?: boolean;
}

/** A running engine. Disposing ends it with SIGTERM, then SIGKILL, and waits. */
export interface RunningEngine extends AsyncDisposable {
  readonly pid: number;
  /** Resolves when the process has ended, with what ended it. */
  readonly ended: Promise<string>;
  signal(name: NodeJS.Signals): void;
}

/** What each engine writes into its log once it serves. */
const readyPatterns: Readonly<Record<EngineName, RegExp>> = {
  etcd: /serving client traffic|ready to serve client requests/,
  "nats-server": /Server is ready/,
};
const pollMs = 20;
const stopGraceMs = 5_000;

/**
 * Starts an engine and waits until it serves.
 * @throws {ATOLL_ENGINE_UNAVAILABLE} with the last lines of its log when it ends or does not become ready in time.
 */
export async function startEngine(options: StartEngineOptions, signal: AbortSignal): Promise<RunningEngine> {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, "a", 0o600);
  const logStart = readFileSync(options.logFile).length;
  const child = spawn(options.program, options.args, { stdio: ["ignore", log, log], detached: options.isDetached === true });
  closeSync(log);
  const engine = new ChildEngine(child, options.clock);
  try {
    await waitUntilReady(engine, options, logStart, signal);
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
  if (options.isDetached === true) child.unref();
  return engine;
}

/**
 * A TCP port that was free a moment ago, for engines that cannot choose one themselves. Another process may take it
 * in between; then the engine says so and is started again with another.
 */
export async function findFreePort(address: string): Promise<number> {
  const server = createServer();
  await listen(server, { host: address, port: 0 });
  const port = portOf(server);
  await closeServer(server);
  return port;
}

class ChildEngine implements RunningEngine {
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #end: string | undefined;

  constructor(child: ChildProcess, clock: Clock) {
    this.#child = child;
    this.#clock = clock;
    this.ended = new Promise((resolve) => {
      const onEnd = (reason: string): void => {
        this.#end ??= reason;
        resolve(this.#end);
      };
      child.once("error", (error) => onEnd(error.message));
      child.once("exit", (code, signalName) => onEnd(signalName === null ? `exit code ${code}` : `signal ${signalName}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** What ended the process, if it has ended. */
  get end(): string | undefined {
    return this.#end;
  }

  signal(name: NodeJS.Signals): void {
    if (this.#end === undefined) this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#end !== undefined) return;
    this.#child.ref();
    // A stopped process takes SIGTERM only once it runs again.
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    using _kill = this.#clock.schedule(stopGraceMs, () => this.signal("SIGKILL"));
    await this.ended;
  }
}

async function waitUntilReady(engine: ChildEngine, options: StartEngineOptions, logStart: number, signal: AbortSignal): Promise<void> {
  const timeoutMs = options.readyTimeoutMs ?? 30_000;
  const startMs = options.clock.monotonicMs();
  const newLog = (): string => readFileSync(options.logFile).subarray(logStart).toString();
  while (!readyPatterns[options.name].test(newLog())) {
    const isLate = options.clock.monotonicMs() - startMs > timeoutMs;
    if (engine.end !== undefined || isLate) {
      const what = engine.end === undefined ? `did not become ready within ${timeoutMs} ms` : `ended with ${engine.end}`;
      const said = newLog().trim().split("\n").slice(-3).join("\n");
      throw new AtollError("ATOLL_ENGINE_UNAVAILABLE", `${options.name} ${what}; its log ${options.logFile} ends with:\n${said}`);
    }
    await sleep(options.clock, pollMs, signal);
  }
}
