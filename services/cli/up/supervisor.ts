import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { ManagedProcess, logTail, type ProcessTrace } from "./managed-process.ts";
import { processIdentity } from "./process-identity.ts";
import type { ProcessKind, ProcessSpec, ProcessView } from "./process-spec.ts";

/** The control socket of the supervisor, in the data directory. */
export const supervisorSocketName = "supervisor.sock";
/** Pids and start identities of everything that lives, in the data directory. */
export const processesFileName = "processes.json";

/** What `processes.json` holds. */
export interface ProcessesFile {
  readonly supervisor: { readonly pid: number; readonly identity: string };
  readonly processes: readonly ProcessTrace[];
}

/** Which processes an operation is about. */
export type Selection = { readonly names: readonly string[] } | { readonly region: string };

const processesMax = 512;
/** So often may a process end before it was ever ready; then whoever waits for it is told. */
const failuresBeforeReadyMax = 3;
const defaultStopGraceMs = 5_000;
/** Callers go first and what they rest on last, so that an orderly end loses no request. */
const stopOrder: readonly (readonly ProcessKind[])[] = [["users"], ["sidecar", "gateway", "app", "relay"], ["plane"], ["global"], ["bus", "engine"]];

/** Starts, watches, kills and ends the processes of one federation on this machine. */
export class Supervisor {
  readonly #dataDir: string;
  readonly #clock: Clock;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #log: (message: string) => void;
  readonly #stopGraceMs: number;
  readonly #programAt: ((path: string) => string) | undefined;
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #failures = new Map<string, number>();
  readonly #waiters = new Set<() => void>();

  constructor(options: {
    readonly dataDir: string;
    readonly clock: Clock;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly log: (message: string) => void;
    /** How long a process may take to end after SIGTERM. */
    readonly stopGraceMs?: number;
    /** What is run for a program that a process is told to be; the program itself unless told. */
    readonly programAt?: (path: string) => string;
  }) {
    this.#dataDir = options.dataDir;
    this.#clock = options.clock;
    this.#env = options.env;
    this.#log = options.log;
    this.#stopGraceMs = options.stopGraceMs ?? defaultStopGraceMs;
    this.#programAt = options.programAt;
    this.#changed();
  }

  /** Starts what is not known yet; what is known and was killed or stopped is started again, and what is to run otherwise than it does ends first. */
  async add(specs: readonly ProcessSpec[]): Promise<void> {
    if (this.#processes.size + specs.length > processesMax) throw new AtollError("ATOLL_CONTROL_REFUSED", `more than ${processesMax} processes`);
    await this.remove(specs.filter((spec) => this.#isOther(spec)).map(({ name }) => name));
    for (const spec of specs) {
      let managed = this.#processes.get(spec.name);
      if (managed === undefined) {
        managed = new ManagedProcess(spec, {
          clock: this.#clock,
          env: this.#env,
          events: { changed: () => this.#changed(), crashed: (which, how, wasReady) => this.#crashed(which, how, wasReady) },
          ...(this.#programAt === undefined ? {} : { programAt: this.#programAt }),
        });
        this.#processes.set(spec.name, managed);
      }
      managed.start();
    }
  }

  #isOther(spec: ProcessSpec): boolean {
    const known = this.#processes.get(spec.name)?.spec;
    return known !== undefined && JSON.stringify(known) !== JSON.stringify(spec);
  }

  /** An orderly end, after which it is forgotten; names that are not known are none. */
  async remove(names: readonly string[]): Promise<void> {
    const known = names.flatMap((name) => this.#processes.get(name) ?? []);
    await Promise.all(known.map((managed) => managed.stop(this.#stopGraceMs)));
    for (const { spec } of known) {
      this.#processes.delete(spec.name);
      this.#failures.delete(spec.name);
    }
    if (known.length > 0) this.#changed();
  }

  list(): readonly ProcessView[] {
    return [...this.#processes.values()].map((managed) => managed.view);
  }

  /**
   * Resolves when every one of `names` serves.
   * @throws {ATOLL_PROCESS_FAILED} with the end of its log, when one keeps ending before it served.
   */
  async waitReady(names: readonly string[], signal: AbortSignal): Promise<void> {
    for (;;) {
      const waiting = names.map((name) => this.#get(name)).filter((managed) => managed.state !== "running");
      if (waiting.length === 0 || signal.aborted) return;
      const failed = waiting.find((managed) => (this.#failures.get(managed.spec.name) ?? 0) >= failuresBeforeReadyMax);
      if (failed !== undefined) throw this.#failure(failed);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiters.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
  }

  /** SIGKILL to all of them in one go; `atMs` is the wall clock just before the first. */
  kill(selection: Selection): { readonly atMs: number; readonly names: readonly string[] } {
    const selected = this.#select(selection).filter((managed) => managed.isAlive);
    const atMs = this.#clock.nowMs();
    for (const managed of selected) managed.kill();
    this.#changed();
    return { atMs, names: selected.map((managed) => managed.spec.name) };
  }

  /** Starts again what was killed or stopped. */
  start(selection: Selection): readonly string[] {
    const selected = this.#select(selection).filter((managed) => managed.state !== "running" && managed.state !== "starting");
    for (const managed of selected) {
      this.#failures.delete(managed.spec.name);
      managed.start();
    }
    return selected.map((managed) => managed.spec.name);
  }

  /** What it supervises, by kind. */
  specs(kind: ProcessKind): readonly ProcessSpec[] {
    return [...this.#processes.values()].flatMap(({ spec }) => (spec.kind === kind ? [spec] : []));
  }

  /** Has a process read its files anew; nothing where that takes no signal, or where it does not run. */
  reload(name: string): void {
    this.#processes.get(name)?.reload();
  }

  /** An orderly end: SIGTERM, and SIGKILL for what has not ended after the grace period. */
  async stop(selection: Selection): Promise<readonly string[]> {
    const selected = this.#select(selection);
    await Promise.all(selected.map((managed) => managed.stop(this.#stopGraceMs)));
    return selected.map((managed) => managed.spec.name);
  }

  async stopAll(): Promise<void> {
    for (const kinds of stopOrder) {
      const group = [...this.#processes.values()].filter((managed) => kinds.includes(managed.spec.kind));
      await Promise.all(group.map((managed) => managed.stop(this.#stopGraceMs)));
    }
  }

  #select(selection: Selection): readonly ManagedProcess[] {
    if ("names" in selection) return selection.names.map((name) => this.#get(name));
    const found = [...this.#processes.values()].filter((managed) => managed.spec.region === selection.region);
    if (found.length === 0) throw new AtollError("ATOLL_CONTROL_REFUSED", `no process belongs to region ${selection.region}`);
    return found;
  }

  #get(name: string): ManagedProcess {
    const managed = this.#processes.get(name);
    if (managed === undefined) throw new AtollError("ATOLL_CONTROL_REFUSED", `no process is named ${name}`);
    return managed;
  }

  #crashed(managed: ManagedProcess, how: string, wasReady: boolean): void {
    const { name } = managed.spec;
    if (wasReady) this.#failures.delete(name);
    else this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1);
    this.#log(`${name} ended by itself (${how}); it is started again`);
    this.#changed();
  }

  #failure(managed: ManagedProcess): AtollError {
    const { name, logFile } = managed.spec;
    const lines = logTail(logFile, 8).map((line) => `    ${line.slice(0, 400)}`);
    return new AtollError("ATOLL_PROCESS_FAILED", [`${name} does not start (${managed.lastEnd ?? "unknown"}); the end of ${logFile}:`, ...lines].join("\n"));
  }

  #changed(): void {
    this.#writeProcesses();
    for (const wake of this.#waiters) wake();
  }

  #writeProcesses(): void {
    const file: ProcessesFile = {
      supervisor: { pid: process.pid, identity: processIdentity(process.pid) ?? "" },
      processes: [...this.#processes.values()].flatMap((managed) => managed.trace ?? []),
    };
    const path = join(this.#dataDir, processesFileName);
    try {
      writeFileSync(`${path}.new`, JSON.stringify(file), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      this.#log(`processes.json cannot be written: ${describeError(error)}`);
    }
  }
}
