import type { Clock } from "./clock.ts";

/** How many at once, and how many a second after that. */
export interface BucketLimits {
  readonly burst: number;
  readonly perSecond: number;
}

/** Holds `burst` tokens and refills by `perSecond`. Monotonic time. */
export class TokenBucket {
  readonly #limits: BucketLimits;
  readonly #clock: Clock;
  #tokens: number;
  #atMs: number;

  constructor(limits: BucketLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#tokens = limits.burst;
    this.#atMs = clock.monotonicMs();
  }

  /** Whether there is a whole one. */
  get hasToken(): boolean {
    return this.#refilled() >= 1;
  }

  /** Takes one; false, and nothing taken, when there is no whole one. */
  take(): boolean {
    if (!this.hasToken) return false;
    this.#tokens--;
    return true;
  }

  /** Takes one, or what is left of it. */
  spend(): void {
    this.#tokens = Math.max(0, this.#refilled() - 1);
  }

  #refilled(): number {
    const { burst, perSecond } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1_000) * perSecond);
    this.#atMs = nowMs;
    return this.#tokens;
  }
}
