import type { Clock } from "#federation/runtime/clock.ts";

/** A machine's clock: its time of day may be wrong, and passes like everybody's. */
export class SkewedClock implements Clock {
  readonly #clock: Clock;
  offsetMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs() + this.offsetMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  schedule(delayMs: number, callback: () => void): Disposable {
    return this.#clock.schedule(delayMs, callback);
  }
}
