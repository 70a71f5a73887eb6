import { createSeededRandom } from "#federation/runtime/random.ts";

/** A stretch of load at one rate. */
export interface LoadPhase {
  readonly requestsPerSecond: number;
  readonly seconds: number;
}

/** Open-loop load on one path: requests at planned times, by users who leave when they have waited long enough. */
export interface LoadPlan {
  readonly port: number;
  readonly host: string;
  /** From the planned time; then the user closes the connection. */
  readonly deadlineMs: number;
  readonly phases: readonly LoadPhase[];
}

/** What became of the requests that were planned in one window; they are counted where they were planned, whenever they ended. */
export interface LoadWindow {
  planned: number;
  /** Answered 200 within the deadline. */
  ok: number;
  /** Answered with any other status within the deadline. */
  refused: number;
  /** Not answered within the deadline. */
  abandoned: number;
  /** The connection broke. */
  broken: number;
  /** The client had no connection left, or no time to send it before its deadline. */
  unsent: number;
  /** Latencies of the `ok` from their planned times, µs, unordered. */
  readonly okMicros: number[];
}

/** What a load saw. */
export interface LoadResult {
  /** Wall clock at the beginning of the first window. */
  readonly startMs: number;
  readonly deadlineMs: number;
  readonly windows: readonly LoadWindow[];
}

/** Short, so that a recovery can be dated. */
export const windowMs = 100;

/**
 * The planned times of a load in ms from its start, ascending. Each request has a slot of its own and a random place in
 * it: counts are even over short times, and neighbours still come together as users do. Same phases, same times.
 */
export function* plannedTimes(phases: readonly LoadPhase[]): Generator<number> {
  const random = createSeededRandom(1);
  let phaseMs = 0;
  for (const { requestsPerSecond, seconds } of phases) {
    const intervalMs = 1000 / requestsPerSecond;
    const count = Math.round(seconds * requestsPerSecond);
    for (let at = 0; at < count; at++) yield phaseMs + (at + random.next()) * intervalMs;
    phaseMs += seconds * 1000;
  }
}

/** One second's worth of windows, or more. */
export interface LoadSummary {
  readonly plannedPerSecond: number;
  /** Answers of status 200 within the deadline. */
  readonly goodputPerSecond: number;
  readonly refusedRatio: number;
  /** Above 0 the load itself is at its end: more than what the path does not answer in time never reached it. */
  readonly unsentRatio: number;
  /**
   * Over requests that were not refused: who left without an answer waited for the whole deadline, at least. The
   * deadline itself when there were none.
   */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** Sums up `windows`. */
export function summarizeWindows(windows: readonly LoadWindow[], deadlineMs: number): LoadSummary {
  const seconds = (windows.length * windowMs) / 1000;
  const sum = (pick: (window: LoadWindow) => number): number => windows.reduce((total, window) => total + pick(window), 0);
  const ok = windows.flatMap(({ okMicros }) => okMicros).toSorted((left, right) => left - right);
  const admitted = ok.length + sum(({ abandoned, broken, unsent }) => abandoned + broken + unsent);
  const quantileMs = (quantile: number): number => {
    const micros = ok[Math.max(0, Math.ceil(quantile * admitted) - 1)];
    return micros === undefined ? deadlineMs : micros / 1000;
  };
  const planned = sum((window) => window.planned);
  return {
    plannedPerSecond: planned / seconds,
    goodputPerSecond: sum((window) => window.ok) / seconds,
    refusedRatio: planned === 0 ? 0 : sum((window) => window.refused) / planned,
    unsentRatio: planned === 0 ? 0 : sum((window) => window.unsent) / planned,
    p50Ms: quantileMs(0.5),
    p95Ms: quantileMs(0.95),
    p99Ms: quantileMs(0.99),
  };
}

/** The part of a load from `fromSeconds` after its start, for `seconds`. */
export function summarizePart(result: LoadResult, fromSeconds: number, seconds: number): LoadSummary {
  const windowsPerSecond = 1000 / windowMs;
  const from = Math.round(fromSeconds * windowsPerSecond);
  return summarizeWindows(result.windows.slice(from, from + Math.round(seconds * windowsPerSecond)), result.deadlineMs);
}

/** What a whole second has to reach to be called normal. */
export interface Normal {
  readonly goodputMin: number;
  readonly p99MsMax: number;
}

/**
 * How long after `endMs` (wall clock) the first whole second begins that is normal; undefined when none of the load is.
 * Never less than the rest of the window in which the end lies.
 */
export function recoveredAfterMs(result: LoadResult, endMs: number, normal: Normal): number | undefined {
  const perSecond = 1000 / windowMs;
  for (let at = Math.max(0, Math.ceil((endMs - result.startMs) / windowMs)); at + perSecond <= result.windows.length; at++) {
    const { goodputPerSecond, p99Ms } = summarizeWindows(result.windows.slice(at, at + perSecond), result.deadlineMs);
    if (goodputPerSecond >= normal.goodputMin && p99Ms <= normal.p99MsMax) return result.startMs + at * windowMs - endMs;
  }
  return undefined;
}
