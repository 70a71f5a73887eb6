/** Each power of two is cut into this many steps, so that a value is known to within 1/64 of itself. */
const stepsPerDoubling = 64;
const doublingsMax = 31;

/**
 * Latencies in whole microseconds with a bounded relative error (1.6 %) and a fixed size, in the manner of
 * HdrHistogram. Values above 2^31 µs count as that.
 * @see http://hdrhistogram.org
 */
export class Histogram {
  readonly #counts = new Float64Array((doublingsMax + 1) * stepsPerDoubling);
  #total = 0;
  #max = 0;

  get total(): number {
    return this.#total;
  }

  /** The largest value recorded, exactly. */
  get maxMicros(): number {
    return this.#max;
  }

  record(micros: number): void {
    const value = Math.max(0, Math.min(2 ** doublingsMax, micros));
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total++;
    if (micros > this.#max) this.#max = micros;
  }

  /** The value at or under which `quantile` (in [0, 1]) of the records lie: the upper edge of its step. 0 when empty. */
  quantileMicros(quantile: number): number {
    const wanted = Math.max(1, Math.ceil(quantile * this.#total));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted) return Math.min(this.#max, upperEdge(bucket));
    }
    return 0;
  }
}

/** Values under one doubling's steps have a bucket each; above, the leading 6 bits after the first choose the step. */
function bucketOf(value: number): number {
  const whole = Math.floor(value);
  if (whole < stepsPerDoubling) return whole;
  const doubling = Math.floor(Math.log2(whole)) - Math.log2(stepsPerDoubling);
  return (doubling + 1) * stepsPerDoubling + Math.floor(whole / 2 ** doubling) - stepsPerDoubling;
}

function upperEdge(bucket: number): number {
  const doubling = Math.floor(bucket / stepsPerDoubling) - 1;
  if (doubling < 0) return bucket;
  return ((bucket % stepsPerDoubling) + stepsPerDoubling + 1) * 2 ** doubling - 1;
}
