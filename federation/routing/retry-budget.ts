const windowSeconds = 10;

/** Retries that are allowed in a window however few requests there were: without it a quiet service could never retry. */
export const retryFloor = 3;

/**
 * Bounds the retries to one service to a share of the requests of the last 10 s, so that an outage is not multiplied.
 * A ring of whole seconds: no allocation, no timer; O(1) for each call.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #requests = new Int32Array(windowSeconds);
  readonly #retries = new Int32Array(windowSeconds);
  #requestsTotal = 0;
  #retriesTotal = 0;
  #second = Number.NEGATIVE_INFINITY;

  /** `ratio` is retries for each request, in [0, 1]. */
  constructor(ratio: number) {
    this.#ratio = ratio;
  }

  /** Counts a first try. `nowMs` is monotonic. */
  recordRequest(nowMs: number): void {
    const slot = this.#advance(nowMs);
    this.#requests[slot] = (this.#requests[slot] ?? 0) + 1;
    this.#requestsTotal++;
  }

  /** True when one more retry fits, which is then counted. */
  tryTake(nowMs: number): boolean {
    const slot = this.#advance(nowMs);
    if (this.#retriesTotal >= Math.max(retryFloor, this.#requestsTotal * this.#ratio)) return false;
    this.#retries[slot] = (this.#retries[slot] ?? 0) + 1;
    this.#retriesTotal++;
    return true;
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
    this.#requestsTotal -= this.#requests[slot] ?? 0;
    this.#retriesTotal -= this.#retries[slot] ?? 0;
    this.#requests[slot] = 0;
    this.#retries[slot] = 0;
  }
}
