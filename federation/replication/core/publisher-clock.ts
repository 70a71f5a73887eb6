import type { Heartbeat } from "#federation/model/replication-messages.ts";

/** Heartbeats that are remembered: one comes each second, so that a clock which is put right is known to be within as many seconds. */
const heardMax = 8;
/** Fewer may all have waited somewhere. */
const heardMin = 3;

/**
 * How far a publisher's clock is from ours, by the times that its heartbeats bear. What was under way for long looks as if its sender were
 * behind, so the one that came fastest of the last few speaks: the answer is too small by its way, which is milliseconds on a bus that is well.
 */
export class PublisherClock {
  #aheadMs: number[] = [];
  #stream = "";

  /** `cameAtMs` is our wall clock's. What another term has said, perhaps on another machine, counts no more. */
  hear({ stream, sentAtMs }: Pick<Heartbeat, "stream" | "sentAtMs">, cameAtMs: number): void {
    if (stream !== this.#stream) this.#aheadMs = [];
    this.#stream = stream;
    this.#aheadMs.push(sentAtMs - cameAtMs);
    if (this.#aheadMs.length > heardMax) this.#aheadMs.shift();
  }

  /** Its clock less ours, ms; undefined until enough was heard. */
  get aheadMs(): number | undefined {
    return this.#aheadMs.length < heardMin ? undefined : Math.max(...this.#aheadMs);
  }
}
