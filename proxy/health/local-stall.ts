import type { Clock } from "#federation/runtime/clock.ts";

/** Beats are so far apart; each costs a few microseconds. */
const beatMs = 50;
/** A beat this late is only late: timers have a grain, and schedulers their moods. What is beyond it is a stall. */
const slackMs = 20;
/** Stalls remembered with their time; of older ones only the sum is known. */
const rememberedMax = 128;

/**
 * Knows when this process itself did not run: a busy event loop, no processor, SIGSTOP, a machine that was suspended. It is
 * seen by the lateness of a timer on the monotonic clock. Who judges others by time takes that time out, since in it no
 * answer could have been read. One for each process; dispose ends its beat.
 */
export class LocalStall implements Disposable {
  readonly #clock: Clock;
  readonly #endsMs = new Float64Array(rememberedMax);
  readonly #lengthsMs = new Float64Array(rememberedMax);
  #count = 0;
  #endedMs = 0;
  #dueMs = 0;
  #timer: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#beat();
  }

  /** Stalls so far. */
  get count(): number {
    return this.#count;
  }

  /** All the time in which this process did not run, the present stall included, ms. */
  get totalMs(): number {
    return this.#endedMs + this.#presentMs(this.#clock.monotonicMs());
  }

  /** A monotonic clock that stands while this process does not run, ms from an arbitrary start. Never falls. */
  awakeMs(): number {
    const nowMs = this.#clock.monotonicMs();
    return nowMs - this.#endedMs - this.#presentMs(nowMs);
  }

  /** How much of the time since `sinceMs` (monotonic) this process did not run. O(stalls since). */
  since(sinceMs: number): number {
    const nowMs = this.#clock.monotonicMs();
    let sumMs = Math.min(this.#presentMs(nowMs), Math.max(0, nowMs - sinceMs));
    const oldest = Math.max(0, this.#count - rememberedMax);
    for (let at = this.#count - 1; at >= oldest; at--) {
      const endMs = this.#endsMs[at % rememberedMax] ?? 0;
      if (endMs <= sinceMs) break;
      sumMs += Math.min(this.#lengthsMs[at % rememberedMax] ?? 0, endMs - sinceMs);
    }
    return sumMs;
  }

  /** The longest stall, in its whole length, that lasted until after `sinceMs` (monotonic). O(stalls since). */
  longestSince(sinceMs: number): number {
    let longestMs = this.#presentMs(this.#clock.monotonicMs());
    const oldest = Math.max(0, this.#count - rememberedMax);
    for (let at = this.#count - 1; at >= oldest; at--) {
      if ((this.#endsMs[at % rememberedMax] ?? 0) <= sinceMs) break;
      longestMs = Math.max(longestMs, this.#lengthsMs[at % rememberedMax] ?? 0);
    }
    return longestMs;
  }

  /** Runs `act` once this process has been awake for `delayMs`: a bound on what others do that our own sleep does not use up. */
  schedule(delayMs: number, act: () => void): Disposable {
    const untilMs = this.awakeMs() + delayMs;
    const look = (): void => {
      const leftMs = untilMs - this.awakeMs();
      // Timers have a grain of a millisecond.
      if (leftMs < 1) act();
      else timer = this.#clock.schedule(leftMs, look);
    };
    let timer = this.#clock.schedule(delayMs, look);
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  /** Bytes that came during a stall may be read before the late beat fires: what is not told yet counts already. */
  #presentMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#dueMs - slackMs);
  }

  #beat(): void {
    this.#dueMs = this.#clock.monotonicMs() + beatMs;
    this.#timer = this.#clock.schedule(beatMs, () => {
      const nowMs = this.#clock.monotonicMs();
      const lengthMs = this.#presentMs(nowMs);
      if (lengthMs > 0) {
        this.#endsMs[this.#count % rememberedMax] = nowMs;
        this.#lengthsMs[this.#count % rememberedMax] = lengthMs;
        this.#count++;
        this.#endedMs += lengthMs;
      }
      this.#beat();
    });
  }
}
