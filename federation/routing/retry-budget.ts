const windowSeconds = 10;

/** Retries that are allowed in a window however few requests there were: without it a quiet service could never retry. */
export const retryFloor = 3;

/**
 * Bounds the retries to one service to a share of the requests that were answered, over the last 10 s and over the present
 * and the last second: where nothing is answered a retry only adds to the load, and within a second or two there are none.
 * A ring of whole seconds: no allocation, no timer; O(1) for each call.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #answered = new Int32Array(windowSeconds);
  readonly #retries = new Int32Array(windowSeconds);
  #answeredTotal = 0;
  #retriesTotal = 0;
  #second = Number.NEGATIVE_INFINITY;

  /** `ratio` is retries for each answered request, in [0, 1]. */
  constructor(ratio: number) {
    this.#ratio = ratio;
  }

  /** Counts a request that was answered, whatever the answer, but for failures of what is behind. `nowMs` is monotonic. */
  recordAnswered(nowMs: number): void {
    const slot = this.#advance(nowMs);
    this.#answered[slot] = (this.#answered[slot] ?? 0) + 1;
    this.#answeredTotal++;
  }

  /** True when one more retry fits, which is then counted. */
  tryTake(nowMs: number): boolean {
    const slot = this.#advance(nowMs);
    if (this.#retriesTotal >= retryFloor && !this.#isWithinRatio(slot)) return false;
    this.#retries[slot] = (this.#retries[slot] ?? 0) + 1;
    this.#retriesTotal++;
    return true;
  }

  #isWithinRatio(slot: number): boolean {
    const last = (slot + windowSeconds - 1) % windowSeconds;
    const recentAnswered = (this.#answered[slot] ?? 0) + (this.#answered[last] ?? 0);
    const recentRetries = (this.#retries[slot] ?? 0) + (this.#retries[last] ?? 0);
    return this.#retriesTotal < this.#answeredTotal * this.#ratio && recentRetries < recentAnswered * this.#ratio;
  }

  /** Empties the seconds that have left the window and returns the slot of the current one. Time that stands still or steps back stays in the newest second. */
  #advance(nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    if (second > this.#second) {
      const passed = Math.min(windowSeconds, second - this.#second);
      for (let step = 0; step < passed; step++) this.#clear((second - step) % windowSeconds);
      this.#second = second;
    }
    return this.#second % windowSeconds;
  }

  #clear(slot: number): void {
    this.#answeredTotal -= this.#answered[slot] ?? 0;
    this.#retriesTotal -= this.#retries[slot] ?? 0;
    this.#answered[slot] = 0;
    this.#retries[slot] = 0;
  }
}
