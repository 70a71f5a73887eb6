/** What a callee's sidecar says of its application with each response. */
export interface LoadReport {
  /** How long requests wait for admission now, smoothed, ms. */
  readonly queueDelayMs: number;
  /** Slots in use of those that the limit allows, in [0, 1]. */
  readonly utilizationRatio: number;
  /** Further requests that it would admit now without waiting. */
  readonly headroom: number;
}

/** Of an application of which nothing has been said. */
export const unknownLoad: LoadReport = { queueDelayMs: 0, utilizationRatio: 0, headroom: 0 };
