import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { storefrontWorkMs } from "../up/demo-federation.ts";
import type { ProcessKind } from "../up/process-spec.ts";
import type { SupervisorClient } from "../up/supervisor-client.ts";
import { behindMs, lowerRate, type DemoLoad } from "./demo-load.ts";
import { drillObjection, healthyForMs, type GuardedUsers } from "./drill-guard.ts";
import { drillMatrix, scoreDrill, type DrillRecord, type DrillScore, type MatrixRow } from "./drill-score.ts";
import { sumWindows, type WindowSum } from "./request-window.ts";
import type { SeenFailure, UsersClient } from "./users-client.ts";

/** Where a drill is. */
export type DrillStep = "observing" | "killed" | "shifted" | "returning" | "returned" | "recovered";

/** What the users saw in the last second. */
export interface DrillSample {
  readonly step: DrillStep;
  /** Since the step began. */
  readonly stepMs: number;
  readonly users: readonly { readonly region: string; readonly sum: WindowSum }[];
}

/** Who watches a drill. */
export interface DrillHooks {
  /** A step has begun; `text` says what happened, in one sentence. */
  onStep(step: DrillStep, text: string): void;
  onSample(sample: DrillSample): void;
  /** Something that a reader should know and that is no step. */
  onNote(text: string): void;
  /** Resolves when the region is to be killed: a key, a timer, at once. */
  whenToKill(signal: AbortSignal): Promise<void>;
}

export interface DrillOptions {
  readonly region: string;
  readonly clock: Clock;
  readonly supervisor: SupervisorClient;
  readonly users: readonly UsersClient[];
  readonly hooks: DrillHooks;
  /** What the users of all regions send in the beginning, per second. */
  readonly ratePerSecond: number;
  /** How the users call when they send so many requests in all. */
  loadFor(ratePerSecond: number): DemoLoad;
  /** Has the storefronts of the region work so long on a request; asked only for loads that say how long. */
  setWork(workMs: number, signal: AbortSignal): Promise<void>;
  /** The kill waits for a moment with at least so many requests in flight into the region. */
  readonly inFlightMin: number;
  /** How long the region stays dead. */
  readonly outageMs: number;
}

/** A drill's outcome. */
export interface DrillReport {
  readonly drill: DrillScore;
  readonly matrix: readonly MatrixRow[];
  readonly killed: readonly string[];
  readonly failures: readonly SeenFailure[];
}

const sampleEveryMs = 100;
const shownMs = 1_000;
/** Whoever has not found a quiet moment in this time has too much to do: the users' rates are lowered. */
const quietWithinMs = 10_000;
/** At the lowest rate, after which the drill goes on unless nobody answers at all. */
const quietWithinMsAtLowest = 45_000;
/** Besides, so many times the work on a request: until the first is answered, and until callers' sidecars know how long it takes. */
const answeredTimes = 2;
const inFlightWithinMs = 10_000;
const inFlightTriesMax = 3;
/** When too few are in flight, the storefront's work becomes so much longer. */
const longerRatio = 1.25;
const shiftWithinMs = 15_000;
const startWithinMs = 60_000;
const recoverWithinMs = 60_000;
const afterMs = 5_000;
/** What a region's processes need of each other decides the order in which they return. */
const returnOrder: readonly (readonly ProcessKind[])[] = [["engine"], ["plane"], ["app"], ["sidecar", "gateway"]];

/**
 * Kills every process of a region by SIGKILL at a moment of full load, watches its users go elsewhere, starts the
 * region again, and scores what was seen. A host that does not keep up gets fewer requests, step by step, until it does.
 * When `signal` aborts, it stops where it is and starts nothing again.
 * @throws {ATOLL_DRILL_REFUSED} when nobody answers the region's users though hardly any of them call.
 */
export async function runRegionLossDrill(options: DrillOptions, signal: AbortSignal): Promise<DrillReport> {
  return await new RegionLossDrill(options, signal).run();
}

class RegionLossDrill {
  readonly #options: DrillOptions;
  readonly #signal: AbortSignal;
  readonly #home: UsersClient;
  #load: DemoLoad;
  /** When the rate was last lowered, wall-clock ms. */
  #rateAtMs = 0;
  #step: DrillStep = "observing";
  #stepBeganMs = 0;
  #observerStallMs = 0;

  constructor(options: DrillOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    const home = options.users.find((users) => users.region === options.region);
    if (home === undefined) throw new AtollError("ATOLL_DRILL_REFUSED", `no users live in ${options.region}; there is nothing to watch`);
    this.#home = home;
    this.#load = options.loadFor(options.ratePerSecond);
  }

  async run(): Promise<DrillReport> {
    const { clock, hooks, supervisor, region, outageMs } = this.#options;
    this.#begin("observing", `users call; soon ${region} dies`);
    await this.#setLoad(this.#load);
    await this.#untilQuiet();
    const quietAtMs = clock.nowMs();
    this.#observerStallMs = 0;
    let isDue = false;
    const due = hooks.whenToKill(this.#signal).then(() => (isDue = true));
    await this.#watch(() => isDue);
    await due;
    // A host that was busy meanwhile has left a queue: the drill would measure that.
    await this.#untilQuiet();
    await this.#untilInFlight();
    const beganAtMs = Math.max(quietAtMs, this.#rateAtMs);
    const { atMs: killAtMs, names } = await supervisor.kill({ region }, this.#signal);
    const inFlightAtKill = await this.#home.inFlightAt(killAtMs, this.#signal);
    this.#begin("killed", `${region} is gone: ${plural(names.length, "process", "processes")} by SIGKILL, ${inFlightAtKill} requests in flight into it`);

    const record = (returnAtMs?: number): DrillRecord => ({
      region,
      windowMs: this.#home.windowMs,
      beganAtMs,
      killAtMs,
      returnAtMs,
      endedAtMs: clock.nowMs(),
      inFlightAtKill,
      windows: new Map(this.#options.users.map((users) => [users.region, users.windows])),
      observerStallMs: this.#observerStallMs,
    });
    await this.#watch(() => scoreDrill(record()).shiftMs !== null, shiftWithinMs);
    const { shiftMs } = scoreDrill(record());
    this.#begin("shifted", shiftMs === null ? `after ${shiftWithinMs / 1000} s the users are still not served elsewhere` : `its users are served elsewhere, ${shiftMs} ms after the kill`);
    await this.#watch(() => clock.nowMs() - killAtMs >= outageMs);

    const returnAtMs = clock.nowMs();
    this.#begin("returning", `${region} is started again`);
    await this.#bringBack(names);
    this.#begin("returned", `${region} runs again; its users come back when it has proved itself`);
    await this.#watch(() => scoreDrill(record(returnAtMs)).recoverMs !== null, recoverWithinMs);
    const { recoverMs } = scoreDrill(record(returnAtMs));
    this.#begin("recovered", recoverMs === null ? `after ${recoverWithinMs / 1000} s the users are still served elsewhere` : `its users are served at home again, ${seconds(recoverMs)} after the return began`);
    await this.#watch(() => clock.monotonicMs() - this.#stepBeganMs >= afterMs);

    const final = record(returnAtMs);
    return { drill: scoreDrill(final), matrix: drillMatrix(final), killed: names, failures: await this.#failuresSince(beganAtMs) };
  }

  /** Waits for a quiet moment; where none comes, fewer users call. @throws {ATOLL_DRILL_REFUSED} when nobody is answered even then. */
  async #untilQuiet(): Promise<void> {
    const { hooks, region } = this.#options;
    for (;;) {
      const lower = lowerRate(this.#load.ratePerSecond);
      const patienceMs = lower === undefined ? quietWithinMsAtLowest : quietWithinMs;
      const objection = await this.#objectionAfter(patienceMs + answeredTimes * (this.#load.workMs ?? 0));
      if (objection === undefined) return;
      if (lower === undefined) {
        const { okTotal } = sumWindows(this.#home.windows.filter((window) => window.startMs >= this.#options.clock.nowMs() - healthyForMs - this.#home.windowMs));
        if (okTotal === 0) throw new AtollError("ATOLL_DRILL_REFUSED", `with ${this.#load.ratePerSecond} requests/s in all, nobody has answered ${region}'s users for ${healthyForMs / 1000} s: ${objection}`);
        hooks.onNote(`there is no quiet moment on this host (${objection}); the drill goes on as it is`);
        return;
      }
      hooks.onNote(`this host does not keep up (${objection}): users call less, ${lower} requests/s in all instead of ${this.#load.ratePerSecond}`);
      await this.#setLoad(this.#options.loadFor(lower));
    }
  }

  /** Waits until the guard has no objection, so long at most; returns the last one. */
  async #objectionAfter(limitMs: number): Promise<string | undefined> {
    const { clock, users, region } = this.#options;
    const guarded = (one: UsersClient): GuardedUsers => {
      const { workMs } = this.#load;
      return { region: one.region, windows: one.windows, ...(workMs === undefined ? {} : { workMs: behindMs + (one.region === region ? workMs : storefrontWorkMs) }) };
    };
    // Answers of the newest window may still be on their way to us.
    const objection = (): string | undefined => drillObjection(users.map(guarded), clock.nowMs() - this.#home.windowMs);
    await this.#watch(() => objection() === undefined, limitMs);
    return objection();
  }

  /** Waits until enough is in flight; where the rate does not give it, each request takes longer. */
  async #untilInFlight(): Promise<void> {
    const { inFlightMin } = this.#options;
    for (let tries = 0; tries < inFlightTriesMax; tries++) {
      if (await this.#home.whenInFlight(inFlightMin, inFlightWithinMs, this.#signal)) return;
      const { workMs } = this.#load;
      if (workMs === undefined) return;
      await this.#setLoad({ ...this.#load, workMs: Math.round(workMs * longerRatio) });
    }
  }

  async #setLoad(load: DemoLoad): Promise<void> {
    const { clock, users } = this.#options;
    if (load.ratePerSecond !== this.#load.ratePerSecond) this.#rateAtMs = clock.nowMs();
    this.#load = load;
    if (load.workMs !== undefined) await this.#options.setWork(load.workMs, this.#signal);
    for (const one of users) await one.setRate(load.rates.get(one.region) ?? 1, this.#signal);
  }

  async #bringBack(names: readonly string[]): Promise<void> {
    const { supervisor } = this.#options;
    const views = await supervisor.list(this.#signal);
    const kinds = new Map(views.map((view) => [view.name, view.kind]));
    for (const group of returnOrder) {
      // One after the other: a region of its own would not take its processors from those who serve meanwhile.
      for (const name of names) if (group.includes(kinds.get(name) ?? "app")) await this.#startAgain(name);
    }
  }

  async #startAgain(name: string): Promise<void> {
    const { supervisor } = this.#options;
    await supervisor.start({ names: [name] }, this.#signal);
    let failure: { readonly error: unknown } | undefined;
    let isReady = false;
    void supervisor.waitReady([name], startWithinMs, this.#signal).then(
      () => (isReady = true),
      (error: unknown) => (failure = { error }),
    );
    await this.#watch(() => isReady || failure !== undefined);
    if (failure !== undefined) throw failure.error;
  }

  async #failuresSince(sinceMs: number): Promise<readonly SeenFailure[]> {
    const lists = await Promise.all(this.#options.users.map((users) => users.failures(this.#signal)));
    return lists.flat().filter((failure) => failure.atMs >= sinceMs);
  }

  #begin(step: DrillStep, text: string): void {
    this.#step = step;
    this.#stepBeganMs = this.#options.clock.monotonicMs();
    this.#options.hooks.onStep(step, text);
  }

  /** Refreshes and shows until `isDone`, or for `limitMs`. */
  async #watch(isDone: () => boolean, limitMs = Number.POSITIVE_INFINITY): Promise<void> {
    const { clock, users, hooks } = this.#options;
    const beganMs = clock.monotonicMs();
    for (;;) {
      await Promise.all(users.map((one) => one.refresh(this.#signal)));
      const sinceMs = clock.nowMs() - shownMs - users[0]!.windowMs;
      hooks.onSample({
        step: this.#step,
        stepMs: clock.monotonicMs() - this.#stepBeganMs,
        users: users.map((one) => ({ region: one.region, sum: sumWindows(one.windows.filter((window) => window.startMs >= sinceMs)) })),
      });
      if (isDone() || clock.monotonicMs() - beganMs >= limitMs) return;
      const sleptMs = clock.monotonicMs();
      await sleep(clock, sampleEveryMs, this.#signal);
      this.#observerStallMs = Math.max(this.#observerStallMs, clock.monotonicMs() - sleptMs - sampleEveryMs);
    }
  }
}

/** `1 process`, `2 processes`. */
export function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `1.2 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
