import type { Etcd3 } from "etcd3";
import type { Clock } from "#federation/runtime/clock.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { StoreLease } from "./store.ts";

/** What a lease asks of its store. */
export interface EtcdLeaseKeeper {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sends one renewal; resolves with the seconds that etcd gave, 0 when the lease is gone. */
  renew(id: string): Promise<number>;
  revoke(id: string): Promise<void>;
  forget(id: string): void;
}

/**
 * A lease that counts on this side, by monotonic time: it is uncertain when no renewal that was *sent* within the TTL has
 * been answered, which is before etcd can let it expire. etcd3's own lease waits twice the TTL, by the wall clock.
 *
 * It is asked for until etcd answers: an etcd that was away gives its leases their whole TTL again when it is back, and only its word that
 * there is no such lease ends this one.
 */
export class EtcdLease implements StoreLease {
  readonly id: string;
  readonly #ttlMs: number;
  readonly #keeper: EtcdLeaseKeeper;
  readonly #lost = new AbortController();
  readonly #certain = new WatchedValue(true);
  #expiry: Disposable;
  #renewal: Disposable;
  #ended: Promise<void> | undefined;

  /** @param sentMs when the grant was sent, on the keeper's monotonic clock. */
  constructor(id: string, ttlMs: number, sentMs: number, keeper: EtcdLeaseKeeper) {
    this.id = id;
    this.#ttlMs = ttlMs;
    this.#keeper = keeper;
    this.#expiry = this.#scheduleExpiry(sentMs);
    this.#renewal = this.#scheduleRenewal(ttlMs / 3);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get certain(): Watched<boolean> {
    return this.#certain;
  }

  /** Gives the lease up; its keys are gone when this resolves, or, if etcd cannot be reached, once the TTL is over. */
  [Symbol.asyncDispose](): Promise<void> {
    const wasLost = this.lost.aborted;
    this.#lose();
    this.#ended ??= wasLost
      ? Promise.resolve()
      : this.#keeper.revoke(this.id).catch((error: unknown) => {
          this.#keeper.logger.debug("a lease could not be revoked and expires by itself", { error: String(error) });
        });
    return this.#ended;
  }

  #scheduleExpiry(sentMs: number): Disposable {
    const { clock } = this.#keeper;
    return clock.schedule(sentMs + this.#ttlMs - clock.monotonicMs(), () => this.#certain.set(false));
  }

  #scheduleRenewal(delayMs: number): Disposable {
    return this.#keeper.clock.schedule(delayMs, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const sentMs = this.#keeper.clock.monotonicMs();
    try {
      const seconds = await this.#keeper.renew(this.id);
      if (this.lost.aborted) return;
      if (seconds <= 0) {
        this.#lose();
        return;
      }
      this.#expiry[Symbol.dispose]();
      this.#expiry = this.#scheduleExpiry(sentMs);
      this.#certain.set(true);
      this.#renewal = this.#scheduleRenewal(this.#ttlMs / 3);
    } catch {
      // How long the lease is certain is the expiry's business; a failed renewal only means: soon again.
      if (!this.lost.aborted) this.#renewal = this.#scheduleRenewal(this.#ttlMs / 10);
    }
  }

  #lose(): void {
    this.#expiry[Symbol.dispose]();
    this.#renewal[Symbol.dispose]();
    this.#keeper.forget(this.id);
    this.#certain.set(false);
    this.#lost.abort();
  }
}

/** One renewal on a stream of its own, ended by the deadline of the call. Resolves with the TTL in seconds, 0 when there is no such lease. */
export async function renewOnce(client: Etcd3, id: string, deadlineMs: number): Promise<number> {
  const stream = await client.leaseClient.leaseKeepAlive({ deadline: deadlineMs });
  try {
    return await new Promise<number>((resolve, reject) => {
      stream.on("data", (answer) => resolve(Number(answer.TTL)));
      stream.on("error", reject);
      stream.on("end", () => reject(new Error("the stream ended without an answer")));
      stream.write({ ID: id });
    });
  } finally {
    stream.end();
  }
}
