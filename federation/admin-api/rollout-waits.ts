import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Questions that wait at one plane at one time; a further one is refused at once. */
export const rolloutWaitersMax = 64;

/**
 * Between two looks of one that waits, in ms, from its first to its last: most writes arrive within a few frames, and
 * with all that may wait a plane looks 256 times a second.
 */
export const lookIntervalMs = [25, 250] as const;

/** Those who wait for a rollout at one plane. */
export class RolloutWaits {
  readonly #clock: Clock;
  readonly #onRefused: () => void;
  #count = 0;

  constructor(options: { readonly clock: Clock; readonly onRefused: () => void }) {
    this.#clock = options.clock;
    this.#onRefused = options.onRefused;
  }

  /** How many wait now. */
  get count(): number {
    return this.#count;
  }

  /**
   * Looks until `isNews` holds of what is seen or `waitMs` are over, and answers what was seen last.
   * @throws {ATOLL_ADMIN_OVERLOADED} when as many wait as may. @throws {ATOLL_ABORTED}
   */
  async until<T>(look: () => T, isNews: (seen: T) => boolean, waitMs: number, signal: AbortSignal): Promise<T> {
    const first = look();
    if (waitMs <= 0 || isNews(first)) return first;
    if (this.#count >= rolloutWaitersMax) {
      this.#onRefused();
      throw new AtollError("ATOLL_ADMIN_OVERLOADED", `${rolloutWaitersMax} questions about rollouts wait already; ask without wait, or later`);
    }
    this.#count++;
    try {
      return await this.#lookAgain(look, isNews, waitMs, signal);
    } finally {
      this.#count--;
    }
  }

  async #lookAgain<T>(look: () => T, isNews: (seen: T) => boolean, waitMs: number, signal: AbortSignal): Promise<T> {
    const endMs = this.#clock.monotonicMs() + waitMs;
    let [intervalMs, longestMs] = lookIntervalMs as readonly [number, number];
    for (;;) {
      const leftMs = endMs - this.#clock.monotonicMs();
      await sleep(this.#clock, Math.min(intervalMs, leftMs), signal);
      const seen = look();
      if (leftMs <= intervalMs || isNews(seen)) return seen;
      intervalMs = Math.min(intervalMs * 2, longestMs);
    }
  }
}
