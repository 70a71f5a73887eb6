import type { Clock } from "#federation/runtime/clock.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
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
 * A lease of a store that one process owns. It lives as long as that process has it: a renewal that stays unanswered for the whole TTL makes it
 * uncertain until one is answered. A stalled event loop does not, since nobody else could have taken the keys meanwhile.
 */
export class SqliteLease implements StoreLease {
  readonly id: string;
  readonly #keeper: LeaseKeeper;
  readonly #ttlMs: number;
  readonly #lost = new AbortController();
  readonly #certain = new WatchedValue(true);
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

  get certain(): Watched<boolean> {
    return this.#certain;
  }

  /** What was written with it is not durable yet: it is uncertain until a renewal is answered. */
  doubt(): void {
    if (this.lost.aborted) return;
    this.#certain.set(false);
    this.#timer?.[Symbol.dispose]();
    this.#scheduleRenewal(this.#ttlMs / 10, this.#keeper.clock.monotonicMs() - this.#ttlMs);
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
      if (this.lost.aborted) return;
      this.#certain.set(true);
      this.#scheduleRenewal(this.#ttlMs / 3);
    } catch {
      // The failed operation is counted by the store; here only how long it goes on matters.
      if (this.lost.aborted) return;
      if (this.#keeper.clock.monotonicMs() - sentMs >= this.#ttlMs) this.#certain.set(false);
      this.#scheduleRenewal(this.#ttlMs / 10, sentMs);
    }
  }

  #end(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#certain.set(false);
    this.#lost.abort();
    this.#expired ??= this.#keeper.expire(this.id);
    return this.#expired;
  }
}
