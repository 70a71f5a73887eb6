import type { OutlierPolicy } from "#federation/model/traffic-policy.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import { createOutlierState, eject, isEjected, recordFailure, recordSuccess } from "./outlier-ejection.ts";
import type { OutlierState } from "./outlier-ejection.ts";

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
}

/**
 * Defaults: two pings, because one may be lost with nothing broken; a hold-down longer than a gateway's restart loop;
 * a ramp that lets connections and caches warm (Istio's warm-up begins at 10 % too).
 */
export const defaultPlaceVerdictPolicy: Omit<PlaceVerdictPolicy, "outlier"> = {
  unansweredPingsMax: 2,
  evidenceAgeMs: 60_000,
  holdDownMs: 5_000,
  rampMs: 10_000,
};

/** The ramp's first share: enough to see a failure, little enough not to hurt. */
const rampStartRatio = 0.1;

/**
 * What one observer has seen of one place. Mutable and owned by the data path; times are monotonic ms.
 *
 *   usable --N failures, or pings unanswered--> ejected --time over, pings answered--> held down --quiet--> ramp --> usable
 *                                                  ^                                      |                 |
 *                                                  +--------------- any failure ----------+-----------------+
 */
export interface PlaceEvidence {
  readonly requests: OutlierState;
  unansweredPings: number;
  lastPongMs: number;
  /** Since when nothing lowers the place any more, after it was lowered; -Infinity when it never was, +Infinity while it is. */
  returnedAtMs: number;
}

/** What the place's owner reports of it; a label that never lowers a place by itself. */
export interface PlaceReport {
  readonly endpointsReady: number;
  readonly endpointsTotal: number;
  /** How old the report is; 0 for one's own cluster. */
  readonly ageMs: number;
}

/** A place of which nothing has been seen. */
export function createPlaceEvidence(): PlaceEvidence {
  return {
    requests: createOutlierState(),
    unansweredPings: 0,
    lastPongMs: Number.NEGATIVE_INFINITY,
    returnedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** A request to the place was answered, which also says that the path to it is whole. No allocation. */
export function recordPlaceSuccess(evidence: PlaceEvidence, nowMs: number): void {
  evidence.unansweredPings = 0;
  recordSuccess(evidence.requests, nowMs);
}

/** A request failed by the place's fault; true when that lowers it now. No allocation. */
export function recordPlaceFailure(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): boolean {
  if (isReturning(evidence, policy, nowMs)) return lower(evidence, policy, nowMs);
  if (!recordFailure(evidence.requests, policy.outlier, nowMs)) return false;
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
 * The verdict on a place and what routing makes of it at `nowMs` (monotonic). Ask again after each `true` of a
 * record function and at least every 250 ms while a place is not healthy: a return happens by time, and `evidence`
 * keeps the moment at which it was first seen here.
 * The one verdict function of proxies, planes, simulate and explain.
 */
export function placeCondition(evidence: PlaceEvidence, report: PlaceReport, policy: PlaceVerdictPolicy, nowMs: number): PlaceCondition {
  const lowered = loweredReason(evidence, policy, nowMs);
  if (lowered !== undefined) {
    // The hold-down starts when the last thing that lowered the place has ended, and this is where that is seen.
    evidence.returnedAtMs = Number.POSITIVE_INFINITY;
    return { verdict: "down", lowered: true, rampRatio: 0, reason: lowered };
  }
  if (evidence.returnedAtMs === Number.POSITIVE_INFINITY) evidence.returnedAtMs = nowMs;
  const quietMs = nowMs - evidence.returnedAtMs;
  if (quietMs < policy.holdDownMs) return { verdict: "suspect", lowered: true, rampRatio: 0, reason: "held down after it came back" };
  const ramp = Math.min(1, (quietMs - policy.holdDownMs) / Math.max(1, policy.rampMs));
  const rampRatio = rampStartRatio + (1 - rampStartRatio) * ramp;
  if (ramp < 1) return { verdict: "suspect", lowered: false, rampRatio, reason: "traffic returns step by step" };
  return { ...unloweredVerdict(evidence, report, policy, nowMs), lowered: false, rampRatio: 1 };
}

function loweredReason(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): string | undefined {
  // Requests and pings that fail in step mean the path; the one that still fails is named.
  if (evidence.unansweredPings >= policy.unansweredPingsMax) return "its gateway leaves pings unanswered";
  return isEjected(evidence.requests, nowMs) ? "requests to it failed in a row" : undefined;
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
  if (reportCounts && report.endpointsReady === 0) {
    return { verdict: "suspect", reason: report.endpointsTotal === 0 ? "no instance is registered" : "no instance is ready" };
  }
  if (nowMs - requests.lastSuccessMs <= policy.evidenceAgeMs) return { verdict: "healthy", reason: "it answers requests" };
  if (nowMs - evidence.lastPongMs <= policy.evidenceAgeMs) return { verdict: "healthy", reason: "its gateway answers pings" };
  if (!reportCounts) return { verdict: "unknown", reason: "its last report is old and nothing was sent to it lately" };
  return { verdict: "healthy", reason: "its instances are reported ready" };
}

function isReturning(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): boolean {
  return nowMs < evidence.returnedAtMs + policy.holdDownMs + policy.rampMs && !isEjected(evidence.requests, nowMs) && evidence.returnedAtMs !== Number.POSITIVE_INFINITY;
}

function lower(evidence: PlaceEvidence, policy: PlaceVerdictPolicy, nowMs: number): true {
  eject(evidence.requests, policy.outlier, nowMs);
  evidence.requests.lastFailureMs = nowMs;
  evidence.returnedAtMs = Number.POSITIVE_INFINITY;
  return true;
}
