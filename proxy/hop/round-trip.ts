/** RFC 6298 §2: weights of the newest sample in the mean and in its deviation. */
const meanShare = 1 / 8;
const deviationShare = 1 / 4;

/** Smoothed round trips and how much they vary, as TCP keeps them. Pure. */
export class RoundTrip {
  /** Undefined until measured. */
  smoothedMs: number | undefined = undefined;
  deviationMs = 0;

  sample(ms: number): void {
    const { smoothedMs } = this;
    if (smoothedMs === undefined) {
      this.smoothedMs = ms;
      this.deviationMs = ms / 2;
      return;
    }
    this.deviationMs += deviationShare * (Math.abs(smoothedMs - ms) - this.deviationMs);
    this.smoothedMs = smoothedMs + meanShare * (ms - smoothedMs);
  }
}
