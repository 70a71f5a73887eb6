import type { Clock } from "#federation/runtime/clock.ts";
import type { StoreLease } from "./store.ts";

/** What a lease asks of its store. */
export interface LeaseKeeper {
  readonly clock: Clock;
  /** Resolves when the engine answers. */
  renew(): Promise<void>;
  /** Deletes the keys of the lease; the store goes on trying for as long as it is open. */
  expire(leaseId: string): Promise<void>;
}

/**
 * A lease of a store that one process owns. It lives while the engine answers: a renewal that stays unanswered for
 * the whole TTL loses it. A stalled event loop does not, since nobody else could have taken the keys meanwhile.
 */
export class SqliteLease implements StoreLease {
  readonly id: string;
  readonly #keeper: LeaseKeeper;
  readonly #ttlMs: number;
  readonly #lost = new AbortController();
  #timer: Disposable | undefined;
  #expired: Promise<void> | undefined;

  constructor(id: string, ttlMs: number, keeper: LeaseKeeper) {
    this.id = id;
    this.#ttlMs = ttlMs;
    this.#keeper = keeper;
    this.#scheduleRenewal(ttlMs / 3);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Gives the lease up: its keys are deleted before this resolves, and `lost` aborts. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  #scheduleRenewal(delayMs: number, unansweredSinceMs?: number): void {
    this.#timer = this.#keeper.clock.schedule(delayMs, () => void this.#renew(unansweredSinceMs));
  }

  async #renew(unansweredSinceMs: number | undefined): Promise<void> {
    const sentMs = unansweredSinceMs ?? this.#keeper.clock.monotonicMs();
    try {
      await this.#keeper.renew();
      if (!this.lost.aborted) this.#scheduleRenewal(this.#ttlMs / 3);
    } catch {
      // The failed operation is counted by the store; here only how long it goes on matters.
      if (this.lost.aborted) return;
      if (this.#keeper.clock.monotonicMs() - sentMs >= this.#ttlMs) await this.#end();
      else this.#scheduleRenewal(this.#ttlMs / 10, sentMs);
    }
  }

  #end(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#lost.abort();
    this.#expired ??= this.#keeper.expire(this.id);
    return this.#expired;
  }
}
