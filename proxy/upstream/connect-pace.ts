/** A connect that takes so much longer than the fastest is simply a connect: schedulers and networks have their moods. Ms. */
const slackMs = 20;
/** The newest sample's share in what counts as recent. */
const newestShare = 0.3;
/** Without samples what was slow is forgotten by half in this time. */
const forgetHalfMs = 1_000;
/** The fastest becomes this much slower with each sample, so that a way that has become longer is believed in the end. */
const fastestDrift = 1.01;
/** Always allowed … */
const allowedMin = 4;
/** … and one for so many requests that wait. */
const waitingPerConnect = 8;

/** A pool as its pace sees it. */
export interface PoolCounts {
  /** Connections on their way. */
  readonly connecting: number;
  /** Connections that are there or on their way. */
  readonly open: number;
  /** Requests without a connection. */
  readonly waiting: number;
}

/**
 * How many connects to one target may be in progress (ADR 0011). Each costs both sides more CPU than the request that
 * asked for it, and while CPU is short requests wait longer and ask for more connects. Two things hold that back:
 * - what a connect takes beyond the fastest is time spent waiting for a processor here or there: the number in progress
 *   falls as that time grows, so their rate falls with its square;
 * - after a first burst the connections to a target at most double each second. Requests meanwhile take the connections
 *   that become idle.
 * A few are always allowed, and more the longer the queue: a target that gets a whole region's load while CPU is short
 * needs connections all the same.
 */
export class ConnectPace {
  readonly #most: number;
  #fastestMs = Number.POSITIVE_INFINITY;
  #extraMs = 0;
  #extraAtMs = 0;
  #credit: number;
  #creditAtMs = 0;

  /** `most`: how many are allowed when all is well, and the first burst. */
  constructor(most: number) {
    this.#most = most;
    this.#credit = most;
  }

  /** A connect begins; `open` connections are there or on their way. */
  began(open: number, nowMs: number): void {
    this.#credit = Math.max(0, this.#creditNow(open, nowMs) - 1);
    this.#creditAtMs = nowMs;
  }

  /** A connect has succeeded, or was given up, after `tookMs`. */
  ended(tookMs: number, nowMs: number): void {
    this.#fastestMs = Math.min(tookMs, this.#fastestMs * fastestDrift);
    const extra = this.#extraNow(nowMs);
    this.#extraMs = extra + (tookMs - this.#fastestMs - extra) * newestShare;
    this.#extraAtMs = nowMs;
  }

  /** How many may be in progress with `connecting` of the `open` connections still on their way and `waiting` requests. */
  allowed({ connecting, open, waiting }: PoolCounts, nowMs: number): number {
    const extra = this.#extraNow(nowMs);
    const most = extra > slackMs ? Math.round((this.#most * slackMs) / extra) : this.#most;
    const least = Math.min(this.#most, Math.max(allowedMin, Math.ceil(waiting / waitingPerConnect)));
    return Math.max(least, Math.min(most, connecting + Math.floor(this.#creditNow(open, nowMs))));
  }

  #creditNow(open: number, nowMs: number): number {
    const perMs = Math.max(this.#most, open) / 1_000;
    return Math.min(this.#most, this.#credit + (nowMs - this.#creditAtMs) * perMs);
  }

  #extraNow(nowMs: number): number {
    return this.#extraMs * 0.5 ** ((nowMs - this.#extraAtMs) / forgetHalfMs);
  }
}
