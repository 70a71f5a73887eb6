import { sumWindows, type RequestWindow } from "./request-window.ts";

/** What was seen of one region-loss drill. Times are wall-clock ms; windows are those of [beganAtMs, endedAtMs). */
export interface DrillRecord {
  readonly region: string;
  readonly windowMs: number;
  readonly beganAtMs: number;
  readonly killAtMs: number;
  /** When the killed processes began to be started again; undefined when that did not happen. */
  readonly returnAtMs: number | undefined;
  readonly endedAtMs: number;
  readonly inFlightAtKill: number;
  /** By the users' region. */
  readonly windows: ReadonlyMap<string, readonly RequestWindow[]>;
  /** The longest stall that the drill's own process saw, ms. */
  readonly observerStallMs: number;
}

/** The score, as `--report` writes it. A time is null when the thing did not happen while the drill looked. */
export interface DrillScore {
  readonly requests: number;
  /** The rate at which users of all regions sent in the last whole windows before the kill. */
  readonly requestsPerSecond: number;
  readonly failed: number;
  readonly failedIdempotent: number;
  /** Of these, those that failed while nothing should: before the kill, or after the shift. */
  readonly failedIdempotentOutsideShift: number;
  readonly inFlightAtKill: number;
  /** Kill → end of the first window in which a displaced request was answered by another region. */
  readonly detectMs: number | null;
  /** Kill → end of the first window in which ≥99 % of displaced requests succeed. */
  readonly shiftMs: number | null;
  /** Return → end of the first time in which ≥99 % of the region's users are served at home again. */
  readonly recoverMs: number | null;
  readonly hostStallMsMax: number;
}

export type DrillPhase = "before" | "during" | "after";

/** One row of the matrix: the users of one region in one phase. */
export interface MatrixRow {
  readonly users: string;
  readonly phase: DrillPhase;
  readonly requests: number;
  readonly ok: number;
  readonly failed: number;
  readonly failedIdempotent: number;
  /** Well-answered requests by the region that answered. */
  readonly servedBy: Readonly<Record<string, number>>;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

const successRatioMin = 0.99;
const rateOverMs = 2_000;
/** Who is served where is judged over windows in which at least so many requests usually end: of two requests one may be at home by chance. */
const endsToJudgeMin = 20;

/** Scores a drill. Pure. */
export function scoreDrill(record: DrillRecord): DrillScore {
  const all = [...record.windows.values()].flat().filter((window) => window.startMs >= windowOf(record, record.beganAtMs) && window.startMs < record.endedAtMs);
  const sum = sumWindows(all);
  const shift = findShift(record, successRatioMin);
  const killMs = windowOf(record, record.killAtMs);
  const steady = all.filter(({ startMs }) => startMs < killMs || shift === undefined || startMs > shift.startMs);
  return {
    requests: sum.okTotal + sum.failed,
    requestsPerSecond: rateBefore(all, record),
    failed: sum.failed,
    failedIdempotent: sum.failedIdempotent,
    failedIdempotentOutsideShift: sumWindows(steady).failedIdempotent,
    inFlightAtKill: record.inFlightAtKill,
    detectMs: elapsed(record, record.killAtMs, findShift(record, 0)),
    shiftMs: elapsed(record, record.killAtMs, shift),
    recoverMs: record.returnAtMs === undefined ? null : elapsed(record, record.returnAtMs, findRecovery(record, record.returnAtMs)),
    hostStallMsMax: Math.round(Math.max(sum.stallMsMax, record.observerStallMs)),
  };
}

/** Rows for every users' region and phase; the region that died first. The return belongs to "during" until the region serves its users again. */
export function drillMatrix(record: DrillRecord): readonly MatrixRow[] {
  const killMs = windowOf(record, record.killAtMs);
  const recovery = record.returnAtMs === undefined ? undefined : findRecovery(record, record.returnAtMs);
  const recoveredMs = recovery?.startMs ?? record.endedAtMs;
  const phases: readonly (readonly [DrillPhase, number, number])[] = [
    ["before", windowOf(record, record.beganAtMs), killMs],
    ["during", killMs, recoveredMs],
    ["after", recoveredMs, record.endedAtMs],
  ];
  const regions = [...record.windows.keys()].sort((a, b) => Number(b === record.region) - Number(a === record.region));
  return regions.flatMap((users) =>
    phases.map(([phase, fromMs, untilMs]) => {
      const windows = (record.windows.get(users) ?? []).filter((window) => window.startMs >= fromMs && window.startMs < untilMs);
      const sum = sumWindows(windows);
      return {
        users,
        phase,
        requests: sum.okTotal + sum.failed,
        ok: sum.okTotal,
        failed: sum.failed,
        failedIdempotent: sum.failedIdempotent,
        servedBy: sum.ok,
        p50Ms: sum.p50Ms,
        p99Ms: sum.p99Ms,
      };
    }),
  );
}

/**
 * The first whole window after the kill in which, of the displaced requests that ended in it, at least `ratioMin`
 * were answered well by another region. An answer of the dead region itself was on its way and displaces nothing.
 * A trickle is no shift: with a ratio asked for, at least half of the usual number must end in the window.
 */
function findShift(record: DrillRecord, ratioMin: number): RequestWindow | undefined {
  const endsMin = ratioMin === 0 ? 1 : usualEnds(record) / 2;
  return homeWindows(record, record.killAtMs).find((window) => {
    const shifted = okTotal(window) - (window.ok[record.region] ?? 0);
    const ended = shifted + window.failed;
    return shifted > 0 && ended >= endsMin && shifted / ended >= ratioMin;
  });
}

/**
 * Since the return, the last window of the first row of windows in which at least 99 % of what ended was answered well at home:
 * as many windows as a sound judgement takes.
 */
function findRecovery(record: DrillRecord, returnAtMs: number): RequestWindow | undefined {
  const usual = usualEnds(record);
  const length = Math.max(1, Math.ceil(endsToJudgeMin / Math.max(usual, 1)));
  const windows = homeWindows(record, returnAtMs);
  return windows.find((_, index) => {
    if (index + 1 < length) return false;
    const { ok, okTotal: answered, failed } = sumWindows(windows.slice(index + 1 - length, index + 1));
    const ended = answered + failed;
    return ended >= (usual * length) / 2 && (ok[record.region] ?? 0) / ended >= successRatioMin;
  });
}

/** The windows of the killed region's users that begin at or after `fromMs`. */
function homeWindows(record: DrillRecord, fromMs: number): readonly RequestWindow[] {
  return (record.windows.get(record.region) ?? []).filter((window) => window.startMs >= fromMs && window.startMs < record.endedAtMs);
}

/** How many requests of the region's users end in one window while all is well. */
function usualEnds(record: DrillRecord): number {
  const before = (record.windows.get(record.region) ?? []).filter((window) => window.startMs >= record.beganAtMs && window.startMs + record.windowMs <= record.killAtMs);
  return before.length === 0 ? 0 : before.reduce((sum, window) => sum + window.sent, 0) / before.length;
}

function rateBefore(windows: readonly RequestWindow[], record: DrillRecord): number {
  const untilMs = windowOf(record, record.killAtMs);
  const fromMs = Math.max(windowOf(record, record.beganAtMs), untilMs - rateOverMs);
  if (untilMs <= fromMs) return 0;
  const sent = windows.filter((window) => window.startMs >= fromMs && window.startMs < untilMs).reduce((sum, window) => sum + window.sent, 0);
  return Math.round((sent * 1_000) / (untilMs - fromMs));
}

function okTotal(window: RequestWindow): number {
  return Object.values(window.ok).reduce((sum, count) => sum + count, 0);
}

function elapsed(record: DrillRecord, fromMs: number, window: RequestWindow | undefined): number | null {
  return window === undefined ? null : Math.round(window.startMs + record.windowMs - fromMs);
}

function windowOf(record: DrillRecord, atMs: number): number {
  return Math.floor(atMs / record.windowMs) * record.windowMs;
}
