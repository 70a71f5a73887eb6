import type { OutlierPolicy } from "#federation/model/traffic-policy.ts";

/**
 * What the requests to one target (an endpoint, or a place) have shown. Mutable and owned by the data path; times are monotonic ms.
 *
 *   counting --N failures in a row--> ejected --time over--> returning --success--> counting
 *                                        ^                       |
 *                                        +------- failure -------+   (longer each time)
 */
export interface OutlierState {
  consecutiveFailures: number;
  /** How often it was ejected lately: the factor of the next ejection's length. */
  ejections: number;
  /** -Infinity when it never was. */
  ejectedUntilMs: number;
  /** True from an ejection until the first success after it: one failure is then enough. */
  returning: boolean;
  lastSuccessMs: number;
  lastFailureMs: number;
}

/** A target of which nothing has been seen. */
export function createOutlierState(): OutlierState {
  return {
    consecutiveFailures: 0,
    ejections: 0,
    ejectedUntilMs: Number.NEGATIVE_INFINITY,
    returning: false,
    lastSuccessMs: Number.NEGATIVE_INFINITY,
    lastFailureMs: Number.NEGATIVE_INFINITY,
  };
}

/** Counts an answer. One that arrives during an ejection (it was sent before, or as a last resort) does not end it. No allocation. */
export function recordSuccess(state: OutlierState, nowMs: number): void {
  state.lastSuccessMs = nowMs;
  state.consecutiveFailures = 0;
  if (nowMs >= state.ejectedUntilMs) state.returning = false;
}

/**
 * Counts a failure of the target itself (connect failure, reset, gateway error, timeout); true when it ejects the target now.
 * An ejection lasts base × how often, up to the maximum, and that count falls by one for each base time without an ejection. No allocation.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
 */
export function recordFailure(state: OutlierState, policy: OutlierPolicy, nowMs: number): boolean {
  state.lastFailureMs = nowMs;
  if (nowMs < state.ejectedUntilMs) return false;
  state.consecutiveFailures++;
  if (state.consecutiveFailures < policy.consecutiveFailures && !state.returning) return false;
  eject(state, policy, nowMs);
  return true;
}

/** Ejects at once, whatever the count: for evidence that is enough alone, such as a gateway that leaves pings unanswered. */
export function eject(state: OutlierState, policy: OutlierPolicy, nowMs: number): void {
  const calmMs = Math.max(0, nowMs - state.ejectedUntilMs);
  const forgiven = state.ejections === 0 ? 0 : Math.floor(calmMs / policy.baseEjectionMs);
  state.ejections = Math.max(0, state.ejections - forgiven) + 1;
  state.ejectedUntilMs = nowMs + Math.min(policy.maxEjectionMs, policy.baseEjectionMs * state.ejections);
  state.consecutiveFailures = 0;
  state.returning = true;
}

/** True while the target is ejected. */
export function isEjected(state: OutlierState, nowMs: number): boolean {
  return nowMs < state.ejectedUntilMs;
}
