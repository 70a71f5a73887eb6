import type { ProcessorShare } from "#federation/runtime/processor-share.ts";
import type { TimingWheel } from "../http/timing-wheel.ts";

/** Weight of the newest tick in the smoothed delay: ticks come each 20 ms, or later. */
const smoothWeight = 0.2;
/** The maximum is that of this time, and of the same before it. */
const maximumMs = 5_000;
/** A tick this late is no load: the process was stopped, or the host slept. */
export const stallMs = 500;

/** Hears of each tick of the event loop's clock. */
export interface LoopListener {
  /** The tick came `lateMs` after it was due; this process had a processor for `ownShare` of the time since the last. */
  onLoopTick(lateMs: number, nowMs: number, ownShare: number): void;
}

/**
 * How late this process's own event loop is: what has arrived waits so long before it is looked at. Measured from the
 * ticks of the timing wheel, which come anyway, so that it costs one call each 20 ms; a histogram of the runtime's own
 * would be a timer of its own with more ticks than that.
 */
export class LoopDelay {
  readonly #wheel: TimingWheel;
  readonly #share: ProcessorShare;
  readonly #listeners: LoopListener[] = [];
  #smoothedMs = 0;
  #maximumMs = 0;
  #previousMaximumMs = 0;
  #maximumSinceMs = Number.NEGATIVE_INFINITY;

  constructor(wheel: TimingWheel, share: ProcessorShare) {
    this.#wheel = wheel;
    this.#share = share;
    wheel.onTick = (lateMs, nowMs) => this.#onTick(lateMs, nowMs);
  }

  /** Smoothed over some ten ticks, ms. */
  get smoothedMs(): number {
    return this.#smoothedMs;
  }

  /** The latest tick of the last five to ten seconds, ms. */
  get maximumMs(): number {
    return Math.max(this.#maximumMs, this.#previousMaximumMs);
  }

  /** How late the next tick is already, ms: what has been read in this turn has waited at least so long. */
  lateMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#wheel.expectedMs);
  }

  listen(listener: LoopListener): void {
    this.#listeners.push(listener);
  }

  #onTick(lateMs: number, nowMs: number): void {
    this.#smoothedMs += smoothWeight * (lateMs - this.#smoothedMs);
    if (nowMs - this.#maximumSinceMs >= maximumMs) {
      this.#previousMaximumMs = nowMs - this.#maximumSinceMs < 2 * maximumMs ? this.#maximumMs : 0;
      this.#maximumMs = 0;
      this.#maximumSinceMs = nowMs;
    }
    if (lateMs > this.#maximumMs) this.#maximumMs = lateMs;
    const ownShare = this.#share();
    for (const listener of this.#listeners) listener.onLoopTick(lateMs, nowMs, ownShare);
  }
}
