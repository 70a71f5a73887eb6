/** Fewer answers than this say little … */
const answeredMin = 8;
/** … and so does what was left when fewer than this share of those at the beginning were: perhaps not every worker was busy any more. */
const leftRatioMin = 0.5;

/**
 * How fast an application works off what it has while nobody is let in: its throughput with every worker busy, and nobody has
 * to be refused to learn it. Where a caller leaves it stays unknown: the application works on, and nobody sees when it is done.
 * Pure, O(1), no allocation.
 */
export class DrainRate {
  #fromMs = -1;
  #from = 0;
  #answered = 0;
  #perMs = 0;
  #isSpoilt = false;

  /** Answers a ms; 0 while unknown. */
  get perMs(): number {
    return this.#isSpoilt ? 0 : this.#perMs;
  }

  /** From now on nobody is let in. */
  begin(): void {
    this.#fromMs = -1;
    this.#perMs = 0;
    this.#isSpoilt = false;
  }

  /** A caller has left. */
  spoil(): void {
    this.#isSpoilt = true;
  }

  /** A request was answered; `inUse` are in the application, itself among them. `grainMs` is how coarsely times are seen. */
  sample(nowMs: number, inUse: number, grainMs: number): void {
    if (this.#fromMs < 0) {
      this.#fromMs = nowMs;
      this.#from = inUse;
      this.#answered = 0;
      return;
    }
    if (inUse < this.#from * leftRatioMin) return;
    this.#answered++;
    const tookMs = nowMs - this.#fromMs;
    if (this.#answered >= answeredMin && tookMs > grainMs) this.#perMs = this.#answered / tookMs;
  }
}
