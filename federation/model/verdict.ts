/**
 * What an observer holds of a place: `unknown` (no evidence either way) is not `down`, and only evidence from the data
 * path makes a place `down`.
 */
export type Verdict = "healthy" | "suspect" | "down" | "unknown";

/** A verdict with what routing makes of it. */
export interface PlaceCondition {
  readonly verdict: Verdict;
  /** Lowered places are tried after all others, never excluded. */
  readonly lowered: boolean;
  /** Share in [0, 1] of its capacity that the place may carry: 1 usually, rising during the ramp after a return. */
  readonly rampRatio: number;
  /** Share in [0, 1] of its traffic that goes to the next sound place, to see whether requests fare better there; 0 usually. */
  readonly probeRatio: number;
  /** One sentence for people: which evidence decided. */
  readonly reason: string;
}

/** The condition of a place of which nothing has been observed yet: it is used like any other. */
export const unobservedCondition: PlaceCondition = { verdict: "unknown", lowered: false, rampRatio: 1, probeRatio: 0, reason: "nothing observed yet" };
