import { execFile } from "node:child_process";
import { join } from "node:path";
import { pause } from "../harness/eventually.ts";
import { compileCache } from "../harness/compile-cache.ts";
import { waitForAnswers } from "../harness/wait-for-answers.ts";
import type { Pins, Role } from "../bench/pins.ts";
import { findKnee } from "./knee.ts";
import { summarizePart, type LoadPhase, type LoadPlan, type LoadResult, type LoadSummary } from "./load-plan.ts";
import type { OverloadSettings } from "./arguments.ts";

/** Where load goes, and when it is too slow. */
export interface PathOptions {
  readonly pins: Pins;
  /** On which core the load is. */
  readonly role: Role;
  /** Outbound port of the first sidecar. */
  readonly port: number;
  readonly host: string;
  readonly deadlineMs: number;
  /** Beyond this at the 95th percentile a rate is above the knee: a queue has begun to grow. */
  readonly slowMs: number;
  /** Where the search for the knee begins, requests per second: safely below it. */
  readonly rampFrom: number;
  readonly onProgress: (sentence: string) => void;
}

/** A load that runs. */
export interface RunningLoad {
  /** Plans nothing more; what is under way still has its time. */
  stop(): void;
  readonly result: Promise<LoadResult>;
}

/** Of the requests that a rate below the knee has. */
const okRatioMin = 0.98;
/** Each step of the ramp, over the one before; twelve of them span a factor of 40. */
const rampStride = 1.4;
const rampSteps = 12;
/** What is not itself by then may never be, and is measured as it is. */
const wellAttemptsMax = 5;
/** For what is still under way, and for the collector. */
const restMs = 300;
const outputBytesMax = 256 * 1024 * 1024;

/** A load that compiles its code takes processors from what it loads. */
export const childEnvironment = { NODE_COMPILE_CACHE: compileCache, ...process.env };

/** One path through the mesh, and what it carries. */
export class LoadedPath {
  readonly #options: PathOptions;
  readonly #settings: OverloadSettings;

  constructor(options: PathOptions, settings: OverloadSettings) {
    this.#options = options;
    this.#settings = settings;
  }

  /** A load in a process of its own. */
  start(phases: readonly LoadPhase[]): RunningLoad {
    const { pins, role, port, host, deadlineMs } = this.#options;
    const plan: LoadPlan = { port, host, deadlineMs, phases };
    const [program = process.execPath, ...args] = pins.pinned(role, process.execPath, [join(import.meta.dirname, "load-main.ts"), JSON.stringify(plan)]);
    let stop = (): void => undefined;
    const result = new Promise<LoadResult>((resolve, reject) => {
      const child = execFile(program, args, { maxBuffer: outputBytesMax, env: childEnvironment }, (error, stdout) => {
        if (error === null) resolve(JSON.parse(stdout) as LoadResult);
        else reject(error);
      });
      stop = () => void child.kill("SIGTERM");
    });
    return { result, stop: () => stop() };
  }

  /** Loads at one rate, and sums up what came after the time to settle. */
  async measure(requestsPerSecond: number, seconds = this.#settings.seconds): Promise<LoadSummary> {
    const { settleSeconds } = this.#settings;
    await this.quiet();
    const result = await this.start([{ requestsPerSecond, seconds: settleSeconds + seconds }]).result;
    return summarizePart(result, settleSeconds, seconds);
  }

  /** What the path shows at a rate below its knee, once it is itself again: an earlier collapse may outlast its load. */
  async measureWell(requestsPerSecond: number): Promise<LoadSummary> {
    for (let attempt = 0; ; attempt++) {
      const summary = await this.measure(requestsPerSecond, this.#settings.kneeSeconds);
      if (this.#isCarried(summary) || attempt === wellAttemptsMax) return summary;
      this.#options.onProgress(`  not itself yet: ${describeSummary(summary)}`);
    }
  }

  /** Waits until nothing of an earlier load is felt. */
  async quiet(): Promise<void> {
    await waitForAnswers(this.#options.port, this.#options.host, this.#settings.signal);
    await pause(restMs, this.#settings.signal);
  }

  /** The highest rate that is answered in time, before a queue begins to grow. */
  async findKnee(): Promise<number> {
    const guess = await this.#ramp();
    return await findKnee({ guess, halvings: this.#settings.halvings, carries: (rate) => this.#carries(rate) });
  }

  /** Walks through rates in one load, and tells the highest that was carried; before it, so much load that code is compiled. */
  async #ramp(): Promise<number> {
    const { rampFrom, onProgress } = this.#options;
    const seconds = this.#settings.rampStepSeconds;
    await this.measure(rampFrom * 4, this.#settings.rampStepSeconds * 3);
    await this.quiet();
    const rates = Array.from({ length: rampSteps }, (_, step) => rampFrom * rampStride ** step);
    const result = await this.start(rates.map((requestsPerSecond) => ({ requestsPerSecond, seconds }))).result;
    const guess = rates.findLast((_, step) => this.#isCarried(summarizePart(result, (step + 0.5) * seconds, seconds / 2))) ?? rampFrom;
    onProgress(`  the ramp says ${guess.toFixed(0)} requests per second`);
    return guess;
  }

  /** Twice at most: one stall of the host is no knee. */
  async #carries(rate: number): Promise<boolean> {
    for (let attempt = 0; attempt < 2; attempt++) {
      const summary = await this.measure(rate, this.#settings.kneeSeconds);
      const isCarried = this.#isCarried(summary);
      this.#options.onProgress(`  ${rate.toFixed(0)}/s: ${describeSummary(summary)}${isCarried ? "" : ": too many"}`);
      if (isCarried) return true;
    }
    return false;
  }

  #isCarried({ goodputPerSecond, plannedPerSecond, p95Ms }: LoadSummary): boolean {
    return goodputPerSecond >= okRatioMin * plannedPerSecond && p95Ms <= this.#options.slowMs;
  }
}

/** For people. */
export function describeSummary({ goodputPerSecond, refusedRatio, unsentRatio, p50Ms, p99Ms }: LoadSummary): string {
  const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)} %`;
  const unsent = unsentRatio === 0 ? "" : `, ${percent(unsentRatio)} never sent`;
  return `${goodputPerSecond.toFixed(0)}/s answered in time, ${percent(refusedRatio)} refused${unsent}, p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms`;
}
