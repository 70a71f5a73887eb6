/** Rates are those of this time, and of the same before it. */
const spanMs = 5_000;

/** How many asked and how many were let in of late. Pure: times are passed in; a comparison and an addition for each. */
export class RecentRates {
  #asked = 0;
  #admitted = 0;
  #askedBefore = 0;
  #admittedBefore = 0;
  #sinceMs = Number.NEGATIVE_INFINITY;

  asked(nowMs: number): void {
    if (nowMs - this.#sinceMs >= spanMs) this.#roll(nowMs);
    this.#asked++;
  }

  admitted(): void {
    this.#admitted++;
  }

  /** Requests a second, over five to ten seconds. */
  at(nowMs: number): { readonly asked: number; readonly admitted: number } {
    const passedMs = nowMs - this.#sinceMs;
    if (passedMs >= 2 * spanMs) return { asked: 0, admitted: 0 };
    const seconds = (spanMs + passedMs) / 1_000;
    return { asked: (this.#asked + this.#askedBefore) / seconds, admitted: (this.#admitted + this.#admittedBefore) / seconds };
  }

  #roll(nowMs: number): void {
    const isNext = nowMs - this.#sinceMs < 2 * spanMs;
    this.#askedBefore = isNext ? this.#asked : 0;
    this.#admittedBefore = isNext ? this.#admitted : 0;
    this.#asked = 0;
    this.#admitted = 0;
    this.#sinceMs = nowMs;
  }
}
