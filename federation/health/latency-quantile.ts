/** Buckets grow by this factor, so a quantile is known to within it. */
const growth = 1.2;
const bucketCount = 80;
const lowestMs = 0.1;
/** What was seen counts half as much after this. Ms. */
const halfLifeMs = 10_000;
/** Before so many samples a quantile says nothing. */
const samplesMin = 20;

const logGrowth = Math.log(growth);

/** A quantile of latencies that fades, in fixed memory: for bounds that follow what a route usually takes. Pure; no allocation. */
export class LatencyQuantile {
  readonly #counts = new Float64Array(bucketCount);
  #total = 0;
  #fadedMs = 0;

  /** `ms` is at least 0. */
  record(ms: number, nowMs: number): void {
    this.#fade(nowMs);
    const bucket = ms <= lowestMs ? 0 : Math.min(bucketCount - 1, Math.ceil(Math.log(ms / lowestMs) / logGrowth));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total++;
  }

  /** The latency that `ratio` of the samples did not exceed, ms; undefined while too few are known. O(buckets). */
  quantileMs(ratio: number): number | undefined {
    if (this.#total < samplesMin) return undefined;
    let left = ratio * this.#total;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) return lowestMs * growth ** bucket;
    }
    return lowestMs * growth ** (bucketCount - 1);
  }

  #fade(nowMs: number): void {
    const passedMs = nowMs - this.#fadedMs;
    if (passedMs < 1_000) return;
    this.#fadedMs = nowMs;
    const left = 0.5 ** (passedMs / halfLifeMs);
    for (let bucket = 0; bucket < bucketCount; bucket++) this.#counts[bucket] = (this.#counts[bucket] ?? 0) * left;
    this.#total *= left;
  }
}
