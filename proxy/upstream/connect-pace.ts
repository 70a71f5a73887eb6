/** Connects faster than this differ by nothing but the scheduler's mood. */
const fastestMsMin = 10;
/** Up to this many times the fastest a connect is simply a connect. */
const usualRatio = 2;
/** The newest sample's share in what counts as recent. */
const newestShare = 0.3;
/** Without samples what was slow is forgotten by half in this time. */
const forgetHalfMs = 1_000;
/** The fastest becomes this much slower with each sample, so that a route that has become longer is believed in the end. */
const fastestDrift = 1.01;

/**
 * How many connects to one target may be in progress. A connect that takes many times what it can take says that this
 * process or the other is short of CPU; and while they are, each connect more makes the requests that wait for it wait
 * longer, which asks for more connects. The number falls as the time grows, so that their rate falls with its square.
 */
export class ConnectPace {
  readonly #most: number;
  #fastestMs = Number.POSITIVE_INFINITY;
  #recentMs = 0;
  #recentAtMs = 0;

  /** `most`: how many are allowed when all is well. */
  constructor(most: number) {
    this.#most = most;
  }

  /** A connect has succeeded after `tookMs`. */
  note(tookMs: number, nowMs: number): void {
    const recent = this.#recent(nowMs);
    this.#fastestMs = Math.min(tookMs, this.#fastestMs * fastestDrift);
    this.#recentMs = recent === 0 ? tookMs : recent + (tookMs - recent) * newestShare;
    this.#recentAtMs = nowMs;
  }

  /** At least 1. */
  allowed(nowMs: number): number {
    const ratio = this.#recent(nowMs) / Math.max(this.#fastestMs, fastestMsMin);
    return Number.isFinite(ratio) && ratio > usualRatio ? Math.max(1, Math.round((this.#most * usualRatio) / ratio)) : this.#most;
  }

  #recent(nowMs: number): number {
    return this.#recentMs * 0.5 ** ((nowMs - this.#recentAtMs) / forgetHalfMs);
  }
}
