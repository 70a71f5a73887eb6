import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { dirname } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { processIdentity, residentBytes, signalGroup } from "./process-identity.ts";
import type { ProcessSpec, ProcessState, ProcessView } from "./process-spec.ts";

const backoffFirstMs = 250;
const backoffMaxMs = 10_000;
/** A process that lived this long is a sound one: it is started again at once, and only what follows waits. */
const steadyAfterMs = 30_000;
const readyPollMs = 25;
/** A log larger than this is moved to `.1` at the next start. */
const logBytesMax = 16 * 1024 * 1024;

/** What `down` needs of a living process when its supervisor is gone. */
export interface ProcessTrace {
  readonly name: string;
  readonly pid: number;
  readonly identity: string;
  /** It leads a group of its own. */
  readonly isGroup?: boolean;
}

/** How a managed process tells its owner of changes. */
export interface ManagedProcessEvents {
  /** State, pid or readiness changed. */
  changed(): void;
  /** It ended by itself. `wasReady` says whether it had served. */
  crashed(process: ManagedProcess, how: string, wasReady: boolean): void;
}

export interface ManagedProcessOptions {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly events: ManagedProcessEvents;
  /** What is run for a program that an argument names; asked at each start. */
  readonly programAt?: (path: string) => string;
}

/**
 * One supervised process.
 *
 *   stopped --start--> starting --ready--> running
 *      ^                  |  ended            | ended
 *      |                  v                   v
 *      +--stop------- backoff <---------------+        kill: any --> killed (stays until start)
 */
export class ManagedProcess {
  readonly spec: ProcessSpec;
  readonly #clock: Clock;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #events: ManagedProcessEvents;
  readonly #programAt: (path: string) => string;
  #state: ProcessState = "stopped";
  #child: ChildProcess | undefined;
  #identity: string | undefined;
  #ports: Readonly<Record<string, number>> = {};
  #restarts = 0;
  #backoffMs = backoffFirstMs;
  #startedAtMs: number | undefined;
  #startedMonotonicMs = 0;
  #timer: Disposable | undefined;
  #lastEnd: string | undefined;
  #startsAfterEnd = false;

  constructor(spec: ProcessSpec, options: ManagedProcessOptions) {
    this.spec = spec;
    this.#clock = options.clock;
    this.#env = options.env;
    this.#events = options.events;
    this.#programAt = options.programAt ?? ((path) => path);
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** How it last ended by itself, for messages. */
  get lastEnd(): string | undefined {
    return this.#lastEnd;
  }

  get isAlive(): boolean {
    return this.#child !== undefined;
  }

  /** Pid and start identity while it lives: what `down` needs when the supervisor is gone. */
  get trace(): ProcessTrace | undefined {
    const pid = this.#child?.pid;
    if (pid === undefined || this.#identity === undefined) return undefined;
    return { name: this.spec.name, pid, identity: this.#identity, ...(this.spec.isGroup === true ? { isGroup: true } : {}) };
  }

  get view(): ProcessView {
    const pid = this.#child?.pid;
    const memoryBytes = pid === undefined ? undefined : residentBytes(pid);
    const region = this.spec.shownRegion ?? this.spec.region;
    return {
      name: this.spec.name,
      kind: this.spec.kind,
      state: this.#state,
      ports: this.#ports,
      restarts: this.#restarts,
      logFile: this.spec.logFile,
      ...(region === undefined ? {} : { region }),
      ...(pid === undefined ? {} : { pid }),
      ...(this.#startedAtMs === undefined ? {} : { startedAtMs: this.#startedAtMs }),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
    };
  }

  /** Starts it unless it lives; one that is still dying is started when it has ended. */
  start(): void {
    if (this.#child !== undefined) {
      this.#startsAfterEnd = this.#state === "killed" || this.#state === "stopped";
      return;
    }
    this.#startsAfterEnd = false;
    this.#clearTimer();
    const { spec } = this;
    if (spec.readyFile !== undefined) {
      mkdirSync(dirname(spec.readyFile), { recursive: true, mode: 0o700 });
      rmSync(spec.readyFile, { force: true });
    }
    const log = openLog(spec.logFile);
    try {
      this.#child = spawn(spec.command, spec.args.map(this.#programAt), { cwd: spec.cwd, env: { ...this.#env, ...spec.env }, stdio: ["ignore", log, log], detached: spec.isGroup === true });
    } finally {
      closeSync(log);
    }
    const child = this.#child;
    this.#identity = child.pid === undefined ? undefined : processIdentity(child.pid);
    this.#startedAtMs = this.#clock.nowMs();
    this.#startedMonotonicMs = this.#clock.monotonicMs();
    this.#ports = {};
    this.#become("starting");
    child.once("error", (error) => this.#onEnd(child, `could not be started: ${error.message}`));
    child.once("exit", (code, signal) => this.#onEnd(child, signal === null ? `exit code ${code}` : `signal ${signal}`));
    this.#pollReady(child);
  }

  /** SIGKILL, and no restart until `start`. */
  kill(): void {
    this.#clearTimer();
    this.#startsAfterEnd = false;
    this.#state = "killed";
    this.#signal("SIGKILL");
  }

  /** SIGTERM, SIGKILL after `graceMs`, and no restart; resolves when it has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#clearTimer();
    this.#become("stopped");
    this.#startsAfterEnd = false;
    const child = this.#child;
    if (child?.pid === undefined) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    this.#signal("SIGTERM");
    using _ = this.#clock.schedule(graceMs, () => this.#signal("SIGKILL"));
    await ended;
  }

  /** Has it read its files anew, where it is a program that is told to and is past its start, which would take the signal for its end. */
  reload(): void {
    const { reloadSignal } = this.spec;
    if (reloadSignal !== undefined && this.#state === "running") this.#child?.kill(reloadSignal);
  }

  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    // Our own child's pid cannot be taken by another process before we have collected it.
    if (this.spec.isGroup === true) signalGroup(this.#child?.pid, signal);
    else this.#child?.kill(signal);
  }

  #onEnd(child: ChildProcess, how: string): void {
    if (this.#child !== child) return;
    // Who leads has ended; who follows would keep its port from the next one.
    if (this.spec.isGroup === true) signalGroup(child.pid, "SIGKILL");
    const livedMs = this.#clock.monotonicMs() - this.#startedMonotonicMs;
    const wasReady = this.#state === "running";
    this.#child = undefined;
    this.#identity = undefined;
    if (this.#state === "killed" || this.#state === "stopped") {
      this.#events.changed();
      if (this.#startsAfterEnd) this.start();
      return;
    }
    this.#lastEnd = how;
    if (livedMs >= steadyAfterMs) this.#backoffMs = 0;
    this.#clearTimer();
    this.#timer = this.#clock.schedule(this.#backoffMs, () => {
      this.#restarts++;
      this.start();
    });
    this.#backoffMs = Math.min(Math.max(this.#backoffMs * 2, backoffFirstMs), backoffMaxMs);
    this.#become("backoff");
    this.#events.crashed(this, how, wasReady);
  }

  #pollReady(child: ChildProcess): void {
    this.#timer = this.#clock.schedule(readyPollMs, () => {
      void this.#checkReady(child);
    });
  }

  async #checkReady(child: ChildProcess): Promise<void> {
    const isReady = await this.#isReady(child);
    if (this.#child !== child || this.#state !== "starting") return;
    if (isReady) this.#become("running");
    else this.#pollReady(child);
  }

  async #isReady(child: ChildProcess): Promise<boolean> {
    const { readyFile, readyPort } = this.spec;
    if (readyFile === undefined) return readyPort === undefined || (await accepts(readyPort));
    const ready = readReady(readyFile);
    if (ready === undefined || ready.pid !== child.pid) return false;
    this.#ports = ready.ports;
    return true;
  }

  #become(state: ProcessState): void {
    this.#state = state;
    this.#events.changed();
  }

  #clearTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}

/** What a ready file says; undefined when it is not there or not whole. */
export function readReady(path: string): { readonly pid: number; readonly ports: Readonly<Record<string, number>> } | undefined {
  try {
    const { pid, ports } = JSON.parse(readFileSync(path, "utf8")) as { pid?: unknown; ports?: Record<string, number> };
    return typeof pid === "number" ? { pid, ports: ports ?? {} } : undefined;
  } catch {
    return undefined;
  }
}

/** The last `count` lines of a log file. */
export function logTail(path: string, count: number): readonly string[] {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").slice(-count);
  } catch {
    return [];
  }
}

function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    if (statSync(path).size > logBytesMax) renameSync(path, `${path}.1`);
  } catch {
    // No log yet: it is made below.
  }
  return openSync(path, "a", 0o600);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
