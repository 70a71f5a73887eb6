const windowSeconds = 10;

/** Retries that are allowed in a window however few requests there were: without it a quiet service could never retry. */
export const retryFloor = 3;

/** As so many retries counts one that was answered by a failure, too. */
export const vainRetryCost = 3;

/**
 * Bounds the retries to one service to a share of the requests that were answered, over the last 10 s and over the present
 * and the last second: where nothing is answered a retry only adds to the load, and within a second or two there are none.
 * One in vain costs more, since where another instance fails as well it is rarely the instance. A ring of whole seconds: no allocation, no timer; O(1) for each call.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #answered = new WindowCount();
  readonly #retries = new WindowCount();
  /** What the retries count as, against the share. */
  readonly #charged = new WindowCount();
  #second = Number.NEGATIVE_INFINITY;

  /** `ratio` is retries for each answered request, in [0, 1]. */
  constructor(ratio: number) {
    this.#ratio = ratio;
  }

  /** Counts a request that was answered, whatever the answer, but for failures of what is behind. `nowMs` is monotonic. */
  recordAnswered(nowMs: number): void {
    this.#answered.add(this.#advance(nowMs), 1);
  }

  /** True when one more retry fits, which is then counted. */
  tryTake(nowMs: number): boolean {
    const slot = this.#advance(nowMs);
    if (this.#retries.total >= retryFloor && !this.#isWithinRatio(slot)) return false;
    this.#retries.add(slot, 1);
    this.#charged.add(slot, 1);
    return true;
  }

  /** A retry was answered, by a failure that might have been retried. */
  recordVain(nowMs: number): void {
    this.#charged.add(this.#advance(nowMs), vainRetryCost - 1);
  }

  #isWithinRatio(slot: number): boolean {
    return this.#charged.total < this.#answered.total * this.#ratio && this.#charged.recent(slot) < this.#answered.recent(slot) * this.#ratio;
  }

  /** Empties the seconds that have left the window and returns the slot of the current one. Time that stands still or steps back stays in the newest second. */
  #advance(nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    if (second > this.#second) {
      const passed = Math.min(windowSeconds, second - this.#second);
      for (let step = 0; step < passed; step++) {
        const slot = (second - step) % windowSeconds;
        this.#answered.clear(slot);
        this.#retries.clear(slot);
        this.#charged.clear(slot);
      }
      this.#second = second;
    }
    return this.#second % windowSeconds;
  }
}

/** A count by second of the window. */
class WindowCount {
  readonly #bySecond = new Int32Array(windowSeconds);
  total = 0;

  add(slot: number, count: number): void {
    this.#bySecond[slot] = (this.#bySecond[slot] ?? 0) + count;
    this.total += count;
  }

  /** Of the second in `slot` and the one before. */
  recent(slot: number): number {
    return (this.#bySecond[slot] ?? 0) + (this.#bySecond[(slot + windowSeconds - 1) % windowSeconds] ?? 0);
  }

  clear(slot: number): void {
    this.total -= this.#bySecond[slot] ?? 0;
    this.#bySecond[slot] = 0;
  }
}
