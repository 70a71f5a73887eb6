import { openControlClient, type ControlClient } from "#federation/runtime/control-socket.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { join } from "node:path";
import type { ProcessSpec, ProcessView } from "./process-spec.ts";
import { supervisorSocketName, type Selection } from "./supervisor.ts";

/** A host with a neighbour may keep a process from its turn for seconds. */
const quickMs = 15_000;
const stopMs = 60_000;

/** The supervisor of one federation, as the command line talks to it. Both are of one installation, so answers are taken as typed. */
export class SupervisorClient implements AsyncDisposable {
  readonly #client: ControlClient;

  constructor(client: ControlClient) {
    this.#client = client;
  }

  /** Starts what is new, what is dead and what is to run otherwise, in the order given. */
  async add(specs: readonly ProcessSpec[], signal: AbortSignal): Promise<void> {
    await this.#client.request("add", { specs }, stopMs, signal);
  }

  /** Ends them in order and forgets them. */
  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#client.request("remove", { names }, stopMs, signal);
  }

  /** @throws {ATOLL_PROCESS_FAILED | ATOLL_TIMEOUT} */
  async waitReady(names: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<void> {
    await this.#client.request("waitReady", { names }, timeoutMs, signal);
  }

  async list(signal: AbortSignal): Promise<readonly ProcessView[]> {
    return (await this.#client.request("list", {}, quickMs, signal)) as readonly ProcessView[];
  }

  /** SIGKILL; `atMs` is the wall clock just before the first. */
  async kill(selection: Selection, signal: AbortSignal): Promise<{ readonly atMs: number; readonly names: readonly string[] }> {
    return (await this.#client.request("kill", selection, quickMs, signal)) as { atMs: number; names: readonly string[] };
  }

  async start(selection: Selection, signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#client.request("start", selection, quickMs, signal)) as readonly string[];
  }

  async stop(selection: Selection, signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#client.request("stop", selection, stopMs, signal)) as readonly string[];
  }

  /** Ends everything, the supervisor too. */
  async stopAll(signal: AbortSignal): Promise<void> {
    await this.#client.request("stopAll", {}, stopMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** @throws {ATOLL_CONTROL_UNAVAILABLE} when no supervisor serves that data directory. */
export async function openSupervisorClient(dataDir: string, clock: Clock): Promise<SupervisorClient> {
  return new SupervisorClient(await openControlClient(join(dataDir, supervisorSocketName), clock));
}
