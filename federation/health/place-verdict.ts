import type { OutlierPolicy } from "#federation/model/traffic-policy.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import { createOutlierState, eject, isEjected, recordFailure, recordSuccess } from "./outlier-ejection.ts";
import type { OutlierState } from "./outlier-ejection.ts";
import { believedRatio, compareSlowness, createSlowness, forgetSlowness, isSlow, recordAnswer, recordSlowEnd } from "./slowness.ts";
import type { Comparison, Slowness } from "./slowness.ts";

/** Bounds of the verdict on a place. */
export interface PlaceVerdictPolicy {
  readonly outlier: OutlierPolicy;
  /** Pings in a row without an answer that make a place down. */
  readonly unansweredPingsMax: number;
  /** Evidence and reports older than this say nothing any more. */
  readonly evidenceAgeMs: number;
  /** After a lowering has ended, how long a place must stay free of failures before it gets traffic again. */
  readonly holdDownMs: number;
  /** How long its share then takes to grow to the whole. */
  readonly rampMs: number;
  /** Share of a slow place's traffic that goes elsewhere while there is nothing to compare it with. */
  readonly probeRatio: number;
}

/**
 * Defaults: two pings, because one may be lost with nothing broken; a hold-down longer than a gateway's restart loop;
 * a ramp that lets connections and caches warm (Istio's warm-up begins at 10 % too); a trickle that brings
 * the six answers that decide with sixty requests, and that no place is hurt by.
 */
export const defaultPlaceVerdictPolicy: Omit<PlaceVerdictPolicy, "outlier"> = {
  unansweredPingsMax: 2,
  evidenceAgeMs: 60_000,
  holdDownMs: 5_000,
  rampMs: 10_000,
  probeRatio: 0.1,
};

/** A place that could not be reached for so long has been started anew: a session outlives a shorter silence. Ms. */
const awayMsMin = 3_000;

/** The ramp's first share: enough to see a failure, little enough not to hurt. */
const rampStartRatio = 0.1;

/**
 * What one observer has seen of one place. Mutable and owned by the data path; times are monotonic ms.
 *
 *   usable --N failures, or pings unanswered,--> ejected --time over, pings answered--> held down --quiet--> ramp --> usable
 *            or slower than another place           ^                                      |                 | ^
 *                                                   +--------------- any failure ----------+-----------------+ |
 *   usable --its gateways leave--> leaving --others are there-------------------------------------------------+
 *
 * Failures to connect, resets and unanswered pings speak of the place itself. Timeouts and gateway errors may be everybody's,
 * so they lower it only by comparison, and no longer than the comparison holds (ADR 13).
 */
export interface PlaceEvidence {
  readonly requests: OutlierState;
  readonly slowness: Slowness;
  /** While it is lowered for slowness: the believed share of slow ends that did it; 0 otherwise. */
  slowerRatio: number;
  unansweredPings: number;
  lastPongMs: number;
  /** Its gateways have announced that they end. */
  leaving: boolean;
  /** Since when nothing lowers the place any more, after it was lowered; -Infinity when it never was, +Infinity while it is. */
  returnedAtMs: number;
  /** Since when no connection stands to it, by the service's port: addresses and snapshots change meanwhile, this does not. */
  readonly unreachedSinceMs: Map<number, number>;
}

/** What the place's owner reports of it; a label that never lowers a place by itself. */
export interface PlaceReport {
  readonly endpointsReady: number;
  /** Were ready and are not heard any more. */
  readonly endpointsUnknown?: number;
  readonly endpointsTotal: number;
  /** How old the report is; 0 for one's own cluster. */
  readonly ageMs: number;
}

/** By what is judged, and when. */
export interface Judging {
  readonly policy: PlaceVerdictPolicy;
  /** Monotonic. */
  readonly nowMs: number;
}

/** A place of which nothing has been seen. */
export function createPlaceEvidence(): PlaceEvidence {
  return {
    requests: createOutlierState(),
    slowness: createSlowness(),
    slowerRatio: 0,
    unansweredPings: 0,
    lastPongMs: Number.NEGATIVE_INFINITY,
    leaving: false,
    returnedAtMs: Number.NEGATIVE_INFINITY,
    unreachedSinceMs: new Map(),
  };
}

/** A request to the place was answered, which also says that the path to it is whole. No allocation. */
export function recordPlaceSuccess(evidence: PlaceEvidence, nowMs: number): void {
  evidence.unansweredPings = 0;
  recordSuccess(evidence.requests, nowMs);
  recordAnswer(evidence.slowness, nowMs);
}

/**
 * A request ended in a timeout or a gateway error; true when the place is lowered for that now, because one of `others`, the
 * service's other places, does clearly better. `isBurst`: such ends come many at once.
 */
export function recordPlaceSlowEnd(evidence: PlaceEvidence, others: readonly PlaceEvidence[], end: Judging & { readonly isBurst: boolean }): boolean {
  const { isBurst, nowMs } = end;
  // What was sent before it was lowered says nothing new.
  if (isEjected(evidence.requests, nowMs)) return false;
  recordSlowEnd(evidence.slowness, others.map((other) => other.slowness), { isBurst, nowMs });
  return lowerIfSlower(evidence, others, end);
}

/** A connect to the place failed, or a connection broke; true when that lowers it now. No allocation. */
export function recordPlaceFailure(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): boolean {
  if (isReturning(evidence, policy, nowMs)) return lower(evidence, policy, nowMs);
  if (!recordFailure(evidence.requests, policy.outlier, nowMs)) return false;
  evidence.slowerRatio = 0;
  evidence.returnedAtMs = Number.POSITIVE_INFINITY;
  return true;
}

/** The place's gateway answered a ping: the path to it is whole. No allocation. */
export function recordPong(evidence: PlaceEvidence, nowMs: number): void {
  evidence.lastPongMs = nowMs;
  evidence.unansweredPings = 0;
}

/**
 * A ping stayed unanswered for its bound; true when that lowers the place now. Keep pinging a place that is down: only a
 * pong or an answered request lets it return. No allocation.
 */
export function recordPingTimeout(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): boolean {
  evidence.unansweredPings++;
  const enough = evidence.unansweredPings >= policy.unansweredPingsMax || isReturning(evidence, policy, nowMs);
  if (!enough || isEjected(evidence.requests, nowMs)) return false;
  return lower(evidence, policy, nowMs);
}

/**
 * The verdict on a place and what routing makes of it at `nowMs` (monotonic); `others` are the service's other places. Ask
 * again after each `true` of a record function and at least every 250 ms while a place is not healthy: a return happens by
 * time, a comparison is decided by what others do, and `evidence` keeps the moment at which it was first seen here.
 * The one verdict function of proxies, planes, simulate and explain.
 */
export function placeCondition(evidence: PlaceEvidence, others: readonly PlaceEvidence[], report: PlaceReport, judging: Judging): PlaceCondition {
  const { policy, nowMs } = judging;
  if (evidence.slowerRatio > 0) liftIfShared(evidence, others, judging);
  else lowerIfSlower(evidence, others, judging);
  const lowered = loweredReason(evidence, policy, nowMs);
  if (lowered !== undefined) {
    // The hold-down starts when the last thing that lowered the place has ended, and this is where that is seen.
    evidence.returnedAtMs = Number.POSITIVE_INFINITY;
    return { verdict: "down", lowered: true, rampRatio: 0, probeRatio: 0, reason: lowered };
  }
  if (evidence.leaving) {
    // Nothing has failed there: once others have come in their stead there is nothing to wait for but warmth.
    evidence.returnedAtMs = nowMs - policy.holdDownMs;
    return { verdict: "suspect", lowered: true, rampRatio: 0, probeRatio: 0, reason: "its gateways have announced that they end" };
  }
  if (evidence.returnedAtMs === Number.POSITIVE_INFINITY) evidence.returnedAtMs = nowMs;
  evidence.slowerRatio = 0;
  const quietMs = nowMs - evidence.returnedAtMs;
  if (quietMs < policy.holdDownMs) return { verdict: "suspect", lowered: true, rampRatio: 0, probeRatio: 0, reason: "held down after it came back" };
  const ramp = Math.min(1, (quietMs - policy.holdDownMs) / Math.max(1, policy.rampMs));
  const rampRatio = rampStartRatio + (1 - rampStartRatio) * ramp;
  if (ramp < 1) return { verdict: "suspect", lowered: false, rampRatio, probeRatio: 0, reason: "traffic returns step by step" };
  if (isSlow(evidence.slowness, 1, nowMs)) return slowCondition(evidence, others, judging);
  return { ...unloweredVerdict(evidence, report, policy, nowMs), lowered: false, rampRatio: 1, probeRatio: 0 };
}

/**
 * The condition of a place that no connection reaches just now, while nothing else lowers it: it may be dead, or its processes may
 * wait for a processor. Requests go elsewhere while there is an elsewhere, and come back with its first word.
 */
export function unreached(condition: PlaceCondition): PlaceCondition {
  if (condition.lowered) return condition;
  return { verdict: "suspect", lowered: false, rampRatio: condition.rampRatio, probeRatio: 1, reason: "no connection to it answers: requests go elsewhere until one does" };
}

/** Whether a connection stands to a place, or could: `untried` is an address that nothing speaks against, and nothing for. */
export type Reach = "reached" | "untried" | "unreached";

/**
 * How a place is reached for this port of the service, told at least every 250 ms while requests come. Reached again after it was
 * away for long, it has proved itself by that, and is cold, so that its traffic returns step by step; until then it gets the first step.
 */
export function recordReach(evidence: PlaceEvidence, port: number, reach: Reach, { policy, nowMs }: Judging): void {
  const sinceMs = evidence.unreachedSinceMs.get(port);
  if (reach === "unreached") {
    if (sinceMs === undefined) evidence.unreachedSinceMs.set(port, nowMs);
    return;
  }
  if (sinceMs === undefined) return;
  if (nowMs - sinceMs >= awayMsMin) evidence.returnedAtMs = nowMs - policy.holdDownMs;
  if (reach === "reached") evidence.unreachedSinceMs.delete(port);
}

/** Slow, and not lowered: because the fault is shared, or nobody knows yet, or it has not lasted. */
function slowCondition(evidence: PlaceEvidence, others: readonly PlaceEvidence[], judging: Judging): PlaceCondition {
  const { policy, nowMs } = judging;
  const slow = `${Math.round(evidence.slowness.ratio * 100)} % of its latest requests ended in timeouts or gateway errors`;
  const rest = { verdict: "suspect", lowered: false, rampRatio: 1, probeRatio: 0 } as const;
  const sound = others.filter((other) => isSound(other, judging));
  if (sound.length === 0) return { ...rest, reason: `${slow}, and there is no other place to go to` };
  const comparison = compare(believedRatio(evidence.slowness), sound, nowMs);
  if (comparison === "alike") return { ...rest, reason: `${slow}, and other places do no better: nothing is gained by leaving it` };
  if (comparison === "slower") return { ...rest, reason: `${slow}, and another place does better: it is left if that lasts` };
  return { ...rest, probeRatio: policy.probeRatio, reason: `${slow}; a few requests go elsewhere to see whether they fare better there` };
}

function loweredReason(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): string | undefined {
  // Requests and pings that fail in step mean the path; the one that still fails is named.
  if (evidence.unansweredPings >= policy.unansweredPingsMax) return "its gateway leaves pings unanswered";
  if (!isEjected(evidence.requests, nowMs)) return undefined;
  if (evidence.slowerRatio === 0) return "requests to it failed in a row";
  return "most of its requests ended in timeouts or gateway errors while another place did clearly better";
}

function lowerIfSlower(evidence: PlaceEvidence, others: readonly PlaceEvidence[], judging: Judging): boolean {
  const { slowness } = evidence;
  const { policy, nowMs } = judging;
  if (isEjected(evidence.requests, nowMs)) return false;
  if (!isSlow(slowness, isReturning(evidence, policy, nowMs) ? 1 : policy.outlier.consecutiveFailures, nowMs)) return false;
  const sound = others.filter((other) => isSound(other, judging));
  if (compare(believedRatio(slowness), sound, nowMs) !== "slower") return false;
  lower(evidence, policy, nowMs);
  evidence.slowerRatio = believedRatio(slowness);
  forgetSlowness(slowness);
  return true;
}

/** The load that left it may have made the others as slow, or they are gone: then it is no worse, and carries its part again. */
function liftIfShared(evidence: PlaceEvidence, others: readonly PlaceEvidence[], judging: Judging): void {
  const { policy, nowMs } = judging;
  if (!isEjected(evidence.requests, nowMs)) return;
  const sound = others.filter((other) => isSound(other, judging));
  const comparison = compare(evidence.slowerRatio, sound, nowMs);
  if (sound.length > 0 && comparison !== "alike" && comparison !== "partlyAlike") return;
  evidence.requests.ejectedUntilMs = nowMs;
  evidence.slowerRatio = 0;
  evidence.returnedAtMs = nowMs - policy.holdDownMs;
}

/** A place that requests could go to instead. */
function isSound(evidence: PlaceEvidence, { policy, nowMs }: Judging): boolean {
  return !evidence.leaving && loweredReason(evidence, policy, nowMs) === undefined;
}

function compare(believed: number, others: readonly PlaceEvidence[], nowMs: number): Comparison {
  return compareSlowness(believed, others.map((other) => other.slowness), nowMs);
}

function unloweredVerdict(
  evidence: PlaceEvidence,
  report: PlaceReport,
  policy: PlaceVerdictPolicy,
  nowMs: number,
): Pick<PlaceCondition, "verdict" | "reason"> {
  const { requests } = evidence;
  if (requests.consecutiveFailures > 0 && nowMs - requests.lastFailureMs <= policy.evidenceAgeMs) {
    return { verdict: "suspect", reason: "its latest requests failed" };
  }
  if (evidence.unansweredPings > 0) return { verdict: "suspect", reason: "its gateway left a ping unanswered" };
  const reportCounts = report.ageMs <= policy.evidenceAgeMs;
  const isUnheard = reportCounts && report.endpointsReady === 0 && (report.endpointsUnknown ?? 0) > 0;
  if (reportCounts && report.endpointsReady === 0 && !isUnheard) {
    return { verdict: "suspect", reason: report.endpointsTotal === 0 ? "no instance is registered" : "no instance is ready" };
  }
  if (nowMs - requests.lastSuccessMs <= policy.evidenceAgeMs) return { verdict: "healthy", reason: "it answers requests" };
  // Its gateway answers for itself alone.
  if (isUnheard) return { verdict: "unknown", reason: "its plane does not hear its instances" };
  if (nowMs - evidence.lastPongMs <= policy.evidenceAgeMs) return { verdict: "healthy", reason: "its gateway answers pings" };
  if (!reportCounts) return { verdict: "unknown", reason: "nothing was sent to it lately, and nothing has changed there that it would have reported" };
  return { verdict: "healthy", reason: "its instances are reported ready" };
}

function isReturning(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): boolean {
  return nowMs < evidence.returnedAtMs + policy.holdDownMs + policy.rampMs && !isEjected(evidence.requests, nowMs) && evidence.returnedAtMs !== Number.POSITIVE_INFINITY;
}

function lower(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): true {
  evidence.slowerRatio = 0;
  eject(evidence.requests, policy.outlier, nowMs);
  evidence.requests.lastFailureMs = nowMs;
  evidence.returnedAtMs = Number.POSITIVE_INFINITY;
  return true;
}
