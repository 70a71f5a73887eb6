import { AtollError } from "#federation/runtime/errors.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { TokenBucket } from "#federation/runtime/token-bucket.ts";

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

/** How many attempts are borne together: at once, and a second after that. */
export interface AttemptLimits {
  readonly attemptsBurst: number;
  readonly attemptsPerSecond: number;
}

/** Slows down whoever tries tokens, and bounds the work that strangers can cause. Monotonic time, memory bounded. */
export class JoinGuard {
  readonly #clock: Clock;
  readonly #all: TokenBucket;
  /** In order of last use. */
  readonly #refusals = new Map<string, TokenBucket>();

  constructor(clock: Clock, { attemptsBurst, attemptsPerSecond }: AttemptLimits = joinGuardLimits) {
    this.#clock = clock;
    this.#all = new TokenBucket({ burst: attemptsBurst, perSecond: attemptsPerSecond }, clock);
  }

  /** Counts an attempt of `address`. @throws {ATOLL_JOIN_OVERLOADED} when it has to wait; the token is not looked at then. */
  enter(address: string): void {
    if (this.#refusals.get(address)?.hasToken === false || !this.#all.take()) throw overloaded();
  }

  /** The attempt of `address` was refused. */
  refused(address: string): void {
    const { refusalsBurst, refusalsPerSecond, addressesMax } = joinGuardLimits;
    const bucket = this.#refusals.get(address) ?? new TokenBucket({ burst: refusalsBurst, perSecond: refusalsPerSecond }, this.#clock);
    bucket.spend();
    this.#refusals.delete(address);
    this.#refusals.set(address, bucket);
    const [oldest] = this.#refusals.keys();
    if (this.#refusals.size > addressesMax && oldest !== undefined) this.#refusals.delete(oldest);
  }
}

function overloaded(): AtollError {
  return new AtollError("ATOLL_JOIN_OVERLOADED", "too many attempts to join; try again in a minute");
}
