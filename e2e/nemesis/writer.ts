import type { AdminClient } from "#federation/admin-api/client.ts";
import { AdminApiError } from "#federation/admin-api/problem.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import { pause } from "../harness/eventually.ts";
import type { Outcome, Register, Write } from "./history.ts";
import { audienceOf } from "./places.ts";
import { exportOf, policyOf, serviceOf, versionMax } from "./versions.ts";

/** Between two writes of one writer, ms. */
const writeEveryMs = 250;
/** After a write that failed, ms. */
const backOffMs = 1_000;
/** More are made only when every one of these was deleted or left. */
const registersMax = 16;
/** As many are not deleted. */
const livesMin = 3;
/** Shares of writes that make a register, and that delete one. */
const makeRatio = 0.3;
const deleteRatio = 0.15;

/** Writes at one plane, whose registers nobody else writes: one write after the other, and none to a register of which it does not know what became of the last. */
export class Writer {
  readonly plane: string;
  readonly registers: Register[] = [];
  readonly writes: Write[] = [];
  readonly #client: () => AdminClient;
  readonly #random: Random;
  readonly #prefix: string;
  /** The version that each register has now, of those that are written further. */
  readonly #live = new Map<string, number>();
  #resting = 0;
  #isWriting = false;

  /** `client` gives who answers as the plane now. Names of registers begin with `prefix`, which no other writer of the plane has ever had. */
  constructor(plane: string, client: () => AdminClient, { prefix, random }: { readonly prefix: string; readonly random: Random }) {
    this.plane = plane;
    this.#client = client;
    this.#prefix = prefix;
    this.#random = random;
  }

  /** Writes until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#isWriting = this.#resting === 0;
      const outcome = this.#isWriting ? await this.#step() : "ok";
      this.#isWriting = false;
      await pause(outcome === "ok" ? writeEveryMs : backOffMs, signal).catch(() => undefined);
    }
  }

  /** Runs `act` while no write is under way and none begins. */
  async resting<T>(act: () => Promise<T>): Promise<T> {
    this.#resting++;
    try {
      while (this.#isWriting) await pause(20);
      return await act();
    } finally {
      this.#resting--;
    }
  }

  /** How many writes that began after `sinceMs` have been acknowledged. */
  acknowledgedSince(sinceMs: number): number {
    return this.writes.filter(({ outcome, invokedMs }) => outcome === "ok" && invokedMs > sinceMs).length;
  }

  /** What its last write came to: a writer tries again until one is taken. */
  get isRefused(): boolean {
    return (this.writes.at(-1)?.outcome ?? "ok") !== "ok";
  }

  async #step(): Promise<Outcome> {
    const live = [...this.#live.keys()];
    const roll = this.#random.next();
    const makes = live.length === 0 || (this.registers.length < registersMax && (live.length < livesMin || roll < makeRatio));
    if (makes) return await this.#make();
    const name = live[Math.floor(this.#random.next() * live.length)] ?? "";
    const version = this.#live.get(name) ?? 0;
    if (roll > 1 - deleteRatio && live.length > livesMin) return await this.#write(name, 0, () => this.#delete(name));
    return version >= versionMax ? "ok" : await this.#write(name, version + 1, () => this.#change(name, version + 1));
  }

  async #make(): Promise<Outcome> {
    const name = `${this.#prefix}-${this.registers.length}`;
    this.registers.push({ id: `${this.plane}/${name}`, origin: this.plane, audience: audienceOf(this.plane) });
    return await this.#write(name, 1, async (begun) => {
      await this.#change(name, 1);
      // From here on part of it is done.
      begun();
      if (this.plane !== "global") await this.#client().apply(exportOf(name), {}, never);
    });
  }

  async #change(name: string, version: number): Promise<void> {
    await (this.plane === "global" ? this.#client().apply(policyOf(name, version), {}, never) : this.#client().apply(serviceOf(name, version), {}, never));
  }

  async #delete(name: string): Promise<void> {
    await this.#client().remove(this.plane === "global" ? "TrafficPolicy" : "ServiceExport", { namespace: "web", name }, {}, never);
  }

  async #write(name: string, value: number, act: (begun: () => void) => Promise<void>): Promise<Outcome> {
    const invokedMs = systemClock.monotonicMs();
    let isBegun = false;
    let outcome: Outcome = "ok";
    try {
      await act(() => void (isBegun = true));
    } catch (error) {
      outcome = isBegun ? "unknown" : outcomeOf(error);
    }
    this.writes.push({ register: `${this.plane}/${name}`, value, invokedMs, returnedMs: systemClock.monotonicMs(), outcome });
    if (outcome === "ok" && value !== 0) this.#live.set(name, value);
    // What was refused is as it was; of the rest nobody knows.
    if (outcome === "unknown" || (outcome === "ok" && value === 0)) this.#live.delete(name);
    return outcome;
  }
}

const never = new AbortController().signal;

/** What a write that did not succeed came to: a refusal, and a connection that nobody took, leave nothing behind. Pure. */
export function outcomeOf(error: unknown): Outcome {
  if (error instanceof AdminApiError) return error.problem.status < 500 ? "failed" : "unknown";
  return causesOf(error).some((cause) => "code" in cause && cause.code === "ECONNREFUSED") ? "failed" : "unknown";
}

function causesOf(error: unknown): readonly Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}
