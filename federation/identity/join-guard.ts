import { AtollError } from "#federation/runtime/errors.ts";
import type { Clock } from "#federation/runtime/clock.ts";

/** Bounds of a port that anybody may reach with a token. */
export const joinGuardLimits = {
  /** All attempts together: how many at once, and how many a second after that. */
  attemptsBurst: 500,
  attemptsPerSecond: 100,
  /** Refused attempts of one address: how many at once, and how many a second after that. Right tokens are not counted. */
  refusalsBurst: 20,
  refusalsPerSecond: 1,
  /** Addresses remembered; beyond it the one that was quiet for longest is forgotten. */
  addressesMax: 4_096,
} as const;

/** A bucket that holds `burst` and refills by `perSecond`. */
interface Bucket {
  tokens: number;
  atMs: number;
}

/** How many attempts are borne together: at once, and a second after that. */
export interface AttemptLimits {
  readonly attemptsBurst: number;
  readonly attemptsPerSecond: number;
}

/** Slows down whoever tries tokens, and bounds the work that strangers can cause. Monotonic time, memory bounded. */
export class JoinGuard {
  readonly #clock: Clock;
  readonly #limits: AttemptLimits;
  readonly #all: Bucket;
  /** In order of last use. */
  readonly #refusals = new Map<string, Bucket>();

  constructor(clock: Clock, limits: AttemptLimits = joinGuardLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#all = { tokens: limits.attemptsBurst, atMs: clock.monotonicMs() };
  }

  /** Counts an attempt of `address`. @throws {ATOLL_JOIN_OVERLOADED} when it has to wait; the token is not looked at then. */
  enter(address: string): void {
    const { refusalsBurst, refusalsPerSecond } = joinGuardLimits;
    const { attemptsBurst, attemptsPerSecond } = this.#limits;
    const bucket = this.#refusals.get(address);
    if (bucket !== undefined && this.#refill(bucket, refusalsBurst, refusalsPerSecond) < 1) throw overloaded();
    if (this.#refill(this.#all, attemptsBurst, attemptsPerSecond) < 1) throw overloaded();
    this.#all.tokens--;
  }

  /** The attempt of `address` was refused. */
  refused(address: string): void {
    const { refusalsBurst, refusalsPerSecond, addressesMax } = joinGuardLimits;
    const bucket = this.#refusals.get(address) ?? { tokens: refusalsBurst, atMs: this.#clock.monotonicMs() };
    this.#refill(bucket, refusalsBurst, refusalsPerSecond);
    bucket.tokens = Math.max(0, bucket.tokens - 1);
    this.#refusals.delete(address);
    this.#refusals.set(address, bucket);
    const [oldest] = this.#refusals.keys();
    if (this.#refusals.size > addressesMax && oldest !== undefined) this.#refusals.delete(oldest);
  }

  #refill(bucket: Bucket, burst: number, perSecond: number): number {
    const nowMs = this.#clock.monotonicMs();
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1_000) * perSecond);
    bucket.atMs = nowMs;
    return bucket.tokens;
  }
}

function overloaded(): AtollError {
  return new AtollError("ATOLL_JOIN_OVERLOADED", "too many attempts to join; try again in a minute");
}
