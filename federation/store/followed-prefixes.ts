import type { Clock } from "#federation/runtime/clock.ts";
import type { FollowReport } from "./store.ts";

/** What is read of a store and may be old, though the store answers. */
export interface UnfollowedPrefix {
  readonly prefix: string;
  /** Since it was last known to be what the store holds, or since it was first asked for. */
  readonly ageMs: number;
  /** Why it was not read when that was tried last. */
  readonly reason: string;
}

/**
 * How long a store may answer, and what is read of it not be followed, before that is told. A look a second at a store whose bound is five
 * notices an absence within six, and a watch comes back half a second after the store: what lasts for ten does not pass by itself, and is
 * told before anybody would call it silent, which is after fifteen.
 */
export const unfollowedMsMin = 10_000;

/** Of a watch that does not follow. */
interface Loss {
  readonly prefix: string;
  readonly atMs: number;
  /** For how long the store had answered then. */
  readonly answeredMs: number;
  /** The same of the last part that was read since. */
  readAnsweredMs?: number;
  /** A try has failed since: that parts are read says nothing any more, since it may be the same ones again and again. */
  hasFailed: boolean;
  reason: string;
}

/** Which of a plane's watches follow their keys, by the monotonic clock. An absence of the whole store is told elsewhere, and counts for none of them. */
export class FollowedPrefixes {
  readonly #clock: Clock;
  /** By the report of each watch that does not follow. */
  readonly #losses = new Map<FollowReport, Loss>();
  #awayMs = 0;
  #awayAtMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For one more watch of `prefix`, until it is disposed of; what reports nothing is taken to follow. */
  begin(prefix: string): FollowReport & Disposable {
    const report: FollowReport & Disposable = {
      lost: (reason) => {
        const loss = this.#losses.get(report);
        if (loss === undefined) this.#losses.set(report, { prefix, atMs: this.#clock.monotonicMs(), answeredMs: this.#answeredMs(), hasFailed: false, reason });
        else Object.assign(loss, { hasFailed: true, reason });
      },
      reads: () => {
        const loss = this.#losses.get(report);
        if (loss !== undefined) loss.readAnsweredMs = this.#answeredMs();
      },
      follows: () => void this.#losses.delete(report),
      [Symbol.dispose]: () => void this.#losses.delete(report),
    };
    return report;
  }

  /** Nothing of the store answers, since `atMs` by the monotonic clock; undefined: it does. */
  setAway(atMs: number | undefined): void {
    if (this.#awayAtMs !== undefined && atMs === undefined) this.#awayMs += this.#clock.monotonicMs() - this.#awayAtMs;
    this.#awayAtMs = atMs;
  }

  /**
   * Each prefix that was not followed for `unfollowedMsMin` of the time in which the store answers, the oldest first; none while it is away. One of which part after
   * part comes, without a failure since it was lost, takes as long as it is large.
   */
  get unfollowed(): readonly UnfollowedPrefix[] {
    if (this.#awayAtMs !== undefined) return [];
    const nowMs = this.#clock.monotonicMs();
    const oldest = new Map<string, UnfollowedPrefix>();
    for (const loss of this.#losses.values()) {
      if (this.#answeredMs() - stillSince(loss) < unfollowedMsMin) continue;
      const { prefix, atMs, reason } = loss;
      const ageMs = nowMs - atMs;
      if (ageMs > (oldest.get(prefix)?.ageMs ?? -1)) oldest.set(prefix, { prefix, ageMs, reason });
    }
    return [...oldest.values()].toSorted((one, other) => other.ageMs - one.ageMs);
  }

  /** For how long the store has answered, since the beginning. */
  #answeredMs(): number {
    const nowMs = this.#clock.monotonicMs();
    return nowMs - this.#awayMs - (this.#awayAtMs === undefined ? 0 : nowMs - this.#awayAtMs);
  }
}

function stillSince({ answeredMs, readAnsweredMs = answeredMs, hasFailed }: Loss): number {
  return hasFailed ? answeredMs : readAnsweredMs;
}
