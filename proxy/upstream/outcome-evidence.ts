import type { LocalStall } from "../health/local-stall.ts";
import type { Outcome } from "./chooser.ts";
import type { ConnectFailure } from "./upstream.ts";

/** Beyond this share of a request's time, our own sleep has made it late as much as anybody else. */
const sleptRatioMax = 0.1;
/** After sleeping so long, others may have given us up: their limits are seconds … */
const givenUpMs = 1_000;
/** … and what they closed shows only with what is sent next. */
const aftermathMs = 1_000;

/** What a connection that did not come says of its target: nothing when we had no room or no means, slowness when it took too long. */
export const connectOutcomes = { overflow: "cancelled", own: "cancelled", timeout: "timeout", connect: "connectFailure" } as const satisfies Record<ConnectFailure, Outcome>;

/** When a try began and ended, monotonic ms. */
export interface TrySpan {
  readonly sinceMs: number;
  readonly nowMs: number;
}

/**
 * What an outcome says of its target once the time is taken out in which this process itself did not run: the same, or
 * `cancelled`, which says nothing (ADR 13).
 */
export function evidenceOf(outcome: Outcome, stall: LocalStall, span: TrySpan): Outcome {
  if (outcome === "success" || outcome === "cancelled" || outcome === "refused" || outcome === "overloaded" || outcome === "busy") return outcome;
  if (outcome === "timeout" || outcome === "gatewayError") {
    return stall.since(span.sinceMs) > sleptRatioMax * (span.nowMs - span.sinceMs) ? "cancelled" : outcome;
  }
  return stall.longestSince(span.sinceMs - aftermathMs) >= givenUpMs ? "cancelled" : outcome;
}
