import type { Clock } from "#federation/runtime/clock.ts";

/** Requests of one caller: how many at once, and how many a second after that. A sidecar keeps what it has been given, so that it asks for each audience twice in five minutes. */
export const callerRate = { burst: 200, perSecond: 20 } as const;

/** Callers remembered; beyond it the one that was quiet for longest is forgotten. */
export const callersMax = 8_192;

/** Bounds what each caller may ask for, so that none takes the others' share. Monotonic time, memory bounded. */
export class RateByCaller {
  readonly #clock: Clock;
  /** In order of last use. */
  readonly #buckets = new Map<string, { readonly left: number; readonly atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a request of `caller`; false when it has to wait. */
  enter(caller: string): boolean {
    const atMs = this.#clock.monotonicMs();
    const before = this.#buckets.get(caller) ?? { left: callerRate.burst, atMs };
    const left = Math.min(callerRate.burst, before.left + ((atMs - before.atMs) / 1_000) * callerRate.perSecond);
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { left: left < 1 ? left : left - 1, atMs });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > callersMax && oldest !== undefined) this.#buckets.delete(oldest);
    return left >= 1;
  }
}
