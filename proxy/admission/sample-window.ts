import { Crowding } from "./crowding.ts";
import type { CrowdingVerdict } from "./crowding.ts";

/** A window ends when its mean is known well enough, with no fewer samples than these … */
const samplesMin = 16;
/** … and with these, or after this time, in any case. */
const samplesMax = 500;
const windowMsMax = 2_000;
/** It lasts at least as long as this many requests one after the other: those that overlap say the same. */
const windowTimesMin = 2;
/** Clocks have a grain, and nothing is divided by zero. */
const meanMsMin = 0.001;
/** The limit was saturated when all of it was in use for this share of the samples. */
const saturatedShare = 0.8;
/** Times say whose they are when so many were answered: those that were given up end when their callers please, and the ones that are left are those who came among more. */
const comparedShareMin = 0.9;

/** Some requests that ended one after the other at one limit, and what their times say together. Pure, O(1), no allocation. */
export class SampleWindow {
  /** Keeps the times, and beside whom they came. */
  readonly #times = new Crowding();
  #startMs = -1;
  #inUseSum = 0;
  #peak = 0;
  #full = 0;
  #answered = 0;
  #missed = 0;
  #minMs = Number.POSITIVE_INFINITY;

  /** Forgets what it holds and begins now. */
  begin(nowMs: number): void {
    this.#startMs = nowMs;
    this.#inUseSum = 0;
    this.#peak = 0;
    this.#full = 0;
    this.#answered = 0;
    this.#missed = 0;
    this.#minMs = Number.POSITIVE_INFINITY;
    this.#times.clear();
  }

  /** A request took `timeMs`; `inUse` were in use at its end, which was all of the limit or not, and `among` when it was admitted. */
  add(timeMs: number, inUse: number, among: number, isFull: boolean, isAnswered: boolean): void {
    this.#times.add(among, timeMs);
    this.#inUseSum += inUse;
    if (inUse > this.#peak) this.#peak = inUse;
    if (isFull) this.#full++;
    if (isAnswered) this.#answered++;
    if (timeMs < this.#minMs) this.#minMs = timeMs;
  }

  /** A request has left, and nobody will know what it would have taken. */
  miss(): void {
    this.#missed++;
  }

  get count(): number {
    return this.#times.count;
  }

  get hasEnough(): boolean {
    return this.#times.count >= samplesMin;
  }

  /** 0 without samples. */
  get meanMs(): number {
    return this.#times.count === 0 ? 0 : Math.max(meanMsMin, this.#times.mean);
  }

  get shortestMs(): number {
    return this.#minMs;
  }

  /** Mean number in use. */
  get inUse(): number {
    return this.#inUseSum / this.#times.count;
  }

  /** Mean number in use, as the requests were admitted. */
  get among(): number {
    return this.#times.among;
  }

  get peak(): number {
    return this.#peak;
  }

  get isSaturated(): boolean {
    return this.#full >= this.#times.count * saturatedShare;
  }

  get answeredShare(): number {
    return this.#answered / this.#times.count;
  }

  /** Answered requests a ms, by Little's law; counting over the window instead would err by a batch of workers that end together. */
  get throughput(): number {
    return (this.inUse / this.meanMs) * this.answeredShare;
  }

  /** Standard deviation ÷ mean. */
  get variation(): number {
    return Math.sqrt(this.#times.variance) / this.meanMs;
  }

  /** Whether the times grow with the number in use. */
  get crowding(): CrowdingVerdict {
    return this.#answered >= comparedShareMin * (this.#times.count + this.#missed) ? this.#times.verdict() : "unknown";
  }

  /** Whether the mean is known to `errorRatio`, where times were known to vary by `variation`. */
  isKnown(nowMs: number, errorRatio: number, variation: number): boolean {
    const { meanMs } = this;
    const { count, variance } = this.#times;
    const elapsedMs = nowMs - this.#startMs;
    if (elapsedMs < meanMs * windowTimesMin) return false;
    if (count >= samplesMax || elapsedMs >= windowMsMax) return true;
    // Squares on both sides: this is asked after each sample.
    const errorMax = errorRatio * errorRatio * count;
    return variation * variation <= errorMax && variance <= errorMax * meanMs * meanMs;
  }
}
