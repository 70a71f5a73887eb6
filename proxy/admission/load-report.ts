/** What a callee's sidecar says of its application with each response. */
export interface LoadReport {
  /** How long requests wait for admission now, smoothed, ms. */
  readonly queueDelayMs: number;
  /** Slots in use of those that the limit allows, in [0, 1]. */
  readonly utilizationRatio: number;
  /** Further requests that it would admit now without waiting. */
  readonly headroom: number;
}

/** A queue that takes so long makes a target count twice. Ms. */
const delayUnitMs = 10;
/** What was said of a queue is believed half as much after this without a request of ours that could find out. Ms. */
const delayHalfLifeMs = 1_000;

/**
 * How many requests one more there stands for, where the queue takes so long: a wait of ten ms makes it count twice. Whoever
 * is avoided for its queue says nothing new, and so would be avoided for ever: what it said fades with the time since it was asked.
 */
export function delayFactor(queueDelayMs: number, sinceAskedMs: number): number {
  if (queueDelayMs === 0) return 1;
  return 1 + (queueDelayMs / delayUnitMs) * 0.5 ** (Math.max(0, sinceAskedMs) / delayHalfLifeMs);
}

/** Of an application of which nothing has been said. */
export const unknownLoad: LoadReport = { queueDelayMs: 0, utilizationRatio: 0, headroom: 0 };
