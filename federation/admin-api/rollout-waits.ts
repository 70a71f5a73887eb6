import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Questions that wait at one plane at one time; a further one is refused at once. */
export const rolloutWaitersMax = 64;

/** Between two looks of one that waits, in ms, from its first to its last: most writes arrive within a few frames. */
export const lookIntervalMs = [25, 250] as const;

/** All who wait together may take so much of the plane's time; where a look costs more, as over thousands of proxies, they look less often. */
export const lookShareMax = 0.1;

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
    const [firstMs, longestMs] = lookIntervalMs;
    let costMs = 0;
    for (let usualMs: number = firstMs; ; usualMs = Math.min(usualMs * 2, longestMs)) {
      const intervalMs = Math.max(usualMs, (costMs * this.#count) / lookShareMax);
      const leftMs = endMs - this.#clock.monotonicMs();
      await sleep(this.#clock, Math.max(0, Math.min(intervalMs, leftMs)), signal);
      const startMs = this.#clock.monotonicMs();
      const seen = look();
      costMs = this.#clock.monotonicMs() - startMs;
      if (leftMs <= intervalMs || isNews(seen)) return seen;
    }
  }
}
