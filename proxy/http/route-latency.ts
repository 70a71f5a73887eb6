import { LatencyQuantile } from "#federation/health/latency-quantile.ts";

/** Nearly every request has its response's head by then … */
const ratio = 0.99;
/** … and one that takes twice as long has met more than bad luck. */
const factor = 2;
/** However quick a route is, a pause of so long is no silence. Ms. */
const boundMsMin = 100;
/** The quantile is looked up again after this. Ms. */
const refreshMs = 250;

/** How long the tries of a route usually wait for the response's head, and when one has waited so long that another is worth it. */
export class RouteLatency {
  readonly #heads = new LatencyQuantile();
  #boundMs = Number.POSITIVE_INFINITY;
  #refreshAtMs = Number.NEGATIVE_INFINITY;

  record(ms: number, nowMs: number): void {
    this.#heads.record(ms, nowMs);
  }

  /** Ms; +Infinity while too little is known. */
  tryBoundMs(nowMs: number): number {
    if (nowMs >= this.#refreshAtMs) {
      this.#refreshAtMs = nowMs + refreshMs;
      const usualMs = this.#heads.quantileMs(ratio);
      this.#boundMs = usualMs === undefined ? Number.POSITIVE_INFINITY : Math.max(boundMsMin, factor * usualMs);
    }
    return this.#boundMs;
  }
}
