/** Heartbeats that are remembered: one comes each second, so that a clock which is put right is known to be within as many seconds. */
const heardMax = 16;
/** Fewer may all have waited somewhere. */
const heardMin = 3;

/**
 * How far a publisher's clock is from ours, by the times that its heartbeats bear. What was under way for long looks as if its sender were
 * behind, so the one that came fastest of the last few speaks: the answer is too small by its way, which is milliseconds on a bus that is well.
 */
export class PublisherClock {
  readonly #aheadMs: number[] = [];

  /** Both in wall-clock ms: when it was sent by the publisher's clock, and when it came by ours. */
  hear(sentAtMs: number, cameAtMs: number): void {
    this.#aheadMs.push(sentAtMs - cameAtMs);
    if (this.#aheadMs.length > heardMax) this.#aheadMs.shift();
  }

  /** Its clock less ours, ms; undefined until enough was heard. */
  get aheadMs(): number | undefined {
    return this.#aheadMs.length < heardMin ? undefined : Math.max(...this.#aheadMs);
  }
}
