import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { closeServer, listen } from "#federation/runtime/listen.ts";
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
 * Neither given by the kernel to whoever asks for any port, nor to a connection that is made, nor of the blocks that federations take
 * (`port-block.ts`): nobody gets one of these by chance between the look and the use.
 */
const loosePorts = { first: 10_000, end: 17_000 } as const;

let nextPort: number = randomInt(loosePorts.first, loosePorts.end);

/**
 * A TCP port that was free a moment ago, for engines that cannot choose one themselves; another one each time. Another process may take it
 * in between; then the engine says so and is started again with another.
 * @throws {ATOLL_PORT_TAKEN} when all are taken
 */
export async function findFreePort(address: string): Promise<number> {
  for (let tries = loosePorts.end - loosePorts.first; ; tries--) {
    const port = nextPort;
    nextPort = port + 1 < loosePorts.end ? port + 1 : loosePorts.first;
    const server = createServer();
    try {
      await listen(server, { host: address, port });
    } catch (error) {
      if (tries > 0 && isAtollError(error, "ATOLL_PORT_TAKEN")) continue;
      throw error;
    }
    await closeServer(server);
    return port;
  }
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
