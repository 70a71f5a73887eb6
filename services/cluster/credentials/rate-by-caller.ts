import type { Clock } from "#federation/runtime/clock.ts";
import { TokenBucket } from "#federation/runtime/token-bucket.ts";

/** Requests of one caller: how many at once, and how many a second after that. A sidecar keeps what it has been given, so that it asks for each audience twice in five minutes. */
export const callerRate = { burst: 200, perSecond: 20 } as const;

/** Callers remembered; beyond it the one that was quiet for longest is forgotten. */
export const callersMax = 8_192;

/** Bounds what each caller may ask for, so that none takes the others' share. Monotonic time, memory bounded. */
export class RateByCaller {
  readonly #clock: Clock;
  /** In order of last use. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a request of `caller`; false when it has to wait. */
  enter(caller: string): boolean {
    const bucket = this.#buckets.get(caller) ?? new TokenBucket(callerRate, this.#clock);
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > callersMax && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket.take();
  }
}
