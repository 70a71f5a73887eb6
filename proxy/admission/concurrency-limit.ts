import { DrainRate } from "./drain-rate.ts";
import { SampleWindow } from "./sample-window.ts";

/** Bounds of an adaptive limit, in requests at once. */
export interface LimitBounds {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

/**
 * `initial` is more than most applications ever have at once, so that who is only slow, or on a busy host, is let alone; one
 * that is really short of workers is found out in a few windows. `max` is Envoy's default circuit limit.
 */
export const defaultLimitBounds: LimitBounds = { initial: 100, min: 2, max: 1024 };

/**
 * The limit is this much above the knee, so that a few requests wait inside the application for the next free worker …
 */
const headroomRatio = 1.35;
/** … and this much more for each unit of variation (standard deviation ÷ mean) of their times, up to `variationMax`. */
const headroomForVariation = 0.25;
const variationMax = 2;
/** Added to the limit: with one or two workers a ratio alone would be less than a request. */
const headroomRequests = 1;
/** A probe takes the limit to this share of what is in use, clearly below a knee that lies 1/1.35 to 1/1.85 of the way down. */
const probeRatio = 0.5;
/** … or to less at once, where times ask for less; if they are wrong this is what is still let in. */
const probeRatioMin = 0.25;
/** Below a limit that is only a guess, the first probe comes when so many are in use … */
const firstProbeMin = 16;
/** … and take so many times as long as at first because they wait for each other. */
const slowRatio = 2;
/** It lets in this share of those among whom the times were taken: a queue's would be as much shorter … */
const firstProbeRatio = 0.4;
/** … and when this share of them is left, there was no queue. */
const shorterMax = 0.7;
/** So many in a row are enough when each of them took as long. */
const asLongMin = 4;
/** A saturated limit that should shrink by more than this is tried at once: see `#conclude`. */
const shrinkTriedRatio = 0.7;
/** One that has outgrown what the latest probe found by this much is tried, too. */
const outgrownRatio = 1.6;
/** While a probe keeps this share of the throughput, the knee lies lower still. */
const throughputShareMin = 0.92;
/** Where fewer than this share of a window were answered before their callers left, the limit is halved … */
const answeredShareMin = 0.5;
/** … when this share of it was in use: callers of a quick application that has become slow leave, too, until they know it. */
const leftUsedRatio = 0.75;
const backOffRatio = 0.5;
/** Times are seen no more finely than this, however quick the loop is: an application that is quicker is never held to a few. Ms. */
export const grainMsMin = 5;
/** Growth in one window at most. */
const growthRatio = 1.5;
/** The limit is tested by demand when this share of it was in use at some time. */
const usedRatio = 0.9;
/** A window ends when its mean is known this well (standard error ÷ mean), judged by the variation of the last ones, too … */
const errorRatioMax = 0.08;
/** … and in a probe, which costs throughput, less well … */
const probeErrorRatioMax = 0.12;
/** … and hardly in one that is clearly below the knee already, or looks far below a guess: the error is less than the headroom that follows. */
const coarseErrorRatioMax = 0.2;
/** Until windows have said otherwise, times vary this much (standard deviation ÷ mean): 64 samples. */
const variationFirst = 0.64;
/** Weight of the newest window in the remembered variation when it is smaller. */
const variationWeight = 0.3;
/** No sample counts more than this many means: one long poll among a hundred requests is no overload. */
const clipRatio = 8;

/** Under lasting overload the knee is searched again this often … */
const probeIntervalMs = 3_000;
/** … but after a probe the next waits this many times as long as it took, whatever asks for it … */
const restRatioMin = 3;
/** … and more with each that found the knee where the one before did, until probes take 1/30 of the time. */
const restRatioMax = 30;
const restGrowthRatio = 2.5;
const kneeErrorRatio = 0.35;
/** A knee that was confirmed moves half of the way to what the next probe finds. */
const kneeWeight = 0.5;

/**
 * How many requests an application can have at once before they only wait for each other, found from how long they
 * take. By Little's law `in use = throughput × time`: beyond the knee more requests in use lengthen the time and
 * nothing else, so `knee = throughput × time without waiting`. Throughput and time are measured at the limit; the time
 * without waiting is what is left when fewer are let in.
 *
 *            demand below half of the limit: only the baseline follows
 *   steady ─────────────────────────────────────────────────────────────> steady
 *     │  saturated and not probed lately, or times ask for a smaller limit, or never probed and times grow with the number in use
 *     v
 *   probe: half in use ──> still the same throughput? ── yes ──> probe again, from here
 *                                     │ no
 *                                     v
 *             the time now is the new baseline; limit = a little above the knee ──> steady
 *
 * A reduction is therefore always an experiment. An application that became slow does not become faster by fewer
 * requests: the baseline moves and the limit returns. A queue does: the limit falls until the queue is gone. Nothing
 * is remembered longer than a few seconds, so neither old speed nor lasting overload bends the baseline.
 *
 * Pure: times are passed in, no sample allocates, O(1).
 * @see docs/adr/0012-admission-by-delay.md
 */
export class ConcurrencyLimit {
  readonly #bounds: LimitBounds;
  #limit: number;
  /** Mean time without waiting, ms; 0 until there is a sample. */
  #baselineMs = 0;
  #latencyMs = 0;
  /** What this process's own event loop may add to a time; less says nothing of the application. */
  #grainMs = grainMsMin;
  #shortestMs = 0;
  #variation = variationFirst;

  // The window that is being collected, and whether what was there before the limit changed is gone.
  readonly #window = new SampleWindow();
  #settling = false;
  #drainedMs = -1;
  #settleMs = 0;
  #isBegun = false;

  #wasSaturated = false;

  // The probe under way: what was before it.
  #probing = false;
  #probeStartMs = 0;
  /** Of a search below a guess, until its first window has ended: the limit and the time before it. */
  #guess = 0;
  #guessMs = 0;
  readonly #drain = new DrainRate();
  #throughput = 0;
  #windows = 0;
  /** What the latest probe found. */
  #knee = 0;
  #restRatio = restRatioMin;
  #restUntilMs = 0;
  #nextProbeMs = 0;

  constructor(bounds: LimitBounds = defaultLimitBounds) {
    this.#bounds = bounds;
    this.#limit = bounds.initial;
  }

  /** Requests that may be in use at once; not whole. */
  get limit(): number {
    return this.#limit;
  }

  /** Mean time of a request that waits for no other, ms; 0 while unknown. */
  get baselineMs(): number {
    return this.#baselineMs;
  }

  /** Mean time of the latest requests, ms; 0 while unknown. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /** What nearly every request takes at least, ms: the baseline less a standard deviation, or the shortest of late; 0 while unknown. */
  get leastMs(): number {
    return Math.max(this.#shortestMs, this.#baselineMs * (1 - this.#variation));
  }

  get grainMs(): number {
    return this.#grainMs;
  }

  /** How coarsely the event loop sees times now. */
  setGrain(ms: number): void {
    this.#grainMs = Math.max(grainMsMin, ms);
  }

  /** True while fewer are let in to see whether that shortens their time. */
  get probing(): boolean {
    return this.#probing;
  }

  /** A request's caller asks elsewhere, being used to quicker answers: its time will not be known. */
  miss(): void {
    this.#drain.spoil();
    this.#window.miss();
  }

  /** Forgets the samples of the window under way: they say more of us than of the application. */
  discard(nowMs: number): void {
    this.#window.begin(nowMs);
  }

  /**
   * Takes the time of one request that ended now; `inUse` were in use, itself among them, and `among` when it was admitted.
   * One that is not answered was given up, and its time is a lower bound. True when a window ended, and limit and baseline
   * may have changed.
   */
  sample(nowMs: number, latencyMs: number, inUse: number, among: number, isAnswered: boolean): boolean {
    if (this.#settling && !this.#settled(nowMs, inUse)) {
      if (isAnswered) this.#drain.sample(nowMs, inUse, this.#grainMs);
      else this.#drain.spoil();
      return false;
    }
    // Admitted before the first probe: it has waited behind others.
    if (this.#guess > 0 && among > Math.ceil(this.#limit)) return false;
    if (!this.#isBegun) this.#window.begin(nowMs);
    this.#isBegun = true;
    const window = this.#window;
    const usualMs = Math.max(this.#baselineMs, this.#latencyMs, window.meanMs);
    const clippedMs = usualMs > 0 && latencyMs > usualMs * clipRatio ? usualMs * clipRatio : latencyMs;
    window.add(clippedMs, inUse, among, inUse >= Math.floor(this.#limit), isAnswered);
    if (this.#guess > 0 && window.count >= asLongMin && window.shortestMs > this.#guessMs * shorterMax) {
      this.#latencyMs = window.meanMs;
      this.#keepGuess(nowMs);
      return true;
    }
    if (!window.hasEnough) return false;
    const isGuessTooHigh = this.#isGuessTooHigh(nowMs);
    if (!isGuessTooHigh && !window.isKnown(nowMs, this.#errorRatioMax, this.#variation)) return false;
    this.#close(nowMs, isGuessTooHigh);
    window.begin(nowMs);
    return true;
  }

  /** How well the mean of the window under way must be known. */
  get #errorRatioMax(): number {
    if (!this.#probing) return errorRatioMax;
    const isClear = this.#window.throughput * (1 + 2 * coarseErrorRatioMax) < this.#throughput * throughputShareMin;
    return isClear || this.#guess > 0 ? coarseErrorRatioMax : probeErrorRatioMax;
  }

  /** After the limit fell: first what was in use beyond it ends, then what waited behind that. */
  #settled(nowMs: number, inUse: number): boolean {
    if (this.#drainedMs < 0) {
      if (inUse > this.#limit) return false;
      this.#drainedMs = nowMs;
    }
    if (nowMs - this.#drainedMs < this.#settleMs) return false;
    this.#settling = false;
    this.#isBegun = false;
    return true;
  }

  #close(nowMs: number, isGuessTooHigh: boolean): void {
    const { meanMs, shortestMs, variation, inUse, peak, answeredShare } = this.#window;
    this.#variation += (variation > this.#variation ? 1 : variationWeight) * (variation - this.#variation);
    this.#shortestMs = shortestMs;
    this.#latencyMs = meanMs;
    // Times have become longer, and not because requests wait for each other.
    if (!isGuessTooHigh && meanMs > this.#baselineMs * slowRatio && this.#window.crowding === "alone") this.#baselineMs = meanMs;
    if (answeredShare < answeredShareMin && peak >= Math.floor(this.#limit) * leftUsedRatio) this.#backOff();
    else if (this.#probing) this.#conclude(nowMs);
    // The number in use still grows, ahead of the times, so that their quotient says too much of the throughput.
    else if (isGuessTooHigh) this.#searchBelowGuess(nowMs, inUse);
    else this.#follow(nowMs);
  }

  /** Before the first probe the limit is only a guess: requests that wait for each other below it are reason enough for one. */
  #isGuessTooHigh(nowMs: number): boolean {
    const { inUse, meanMs, shortestMs } = this.#window;
    if (this.#knee > 0 || this.#probing || inUse < firstProbeMin || nowMs < this.#restUntilMs) return false;
    const baselineMs = this.#baselineMs > 0 ? this.#baselineMs : shortestMs;
    return meanMs > Math.max(baselineMs, this.#grainMs) * slowRatio && this.#window.crowding === "waits";
  }

  /** A window at the limit as it is. */
  #follow(nowMs: number): void {
    const { meanMs, throughput, inUse, peak, isSaturated } = this.#window;
    if (this.#baselineMs === 0) {
      this.#baselineMs = meanMs;
      return;
    }
    if (meanMs < this.#baselineMs || peak * 2 < this.#limit) this.#baselineMs += (meanMs < this.#baselineMs ? 0.5 : 0.1) * (meanMs - this.#baselineMs);
    if (peak * 2 < this.#limit) return;
    const wanted = this.#above((this.#limit * Math.max(this.#baselineMs, this.#grainMs)) / Math.max(meanMs, this.#grainMs));
    // While the number in use has just grown, times lag behind it: only the second saturated window in a row counts.
    const isSteady = isSaturated && this.#wasSaturated;
    this.#wasSaturated = isSaturated;
    if (isSteady && this.#mustProbe(nowMs, wanted)) {
      this.#search(nowMs, throughput, inUse, Math.min(probeRatio, Math.max(probeRatioMin, wanted / this.#limit)));
    } else if (wanted > this.#limit ? peak >= Math.floor(this.#limit) * usedRatio : isSaturated && wanted >= this.#limit * shrinkTriedRatio) {
      this.#set(Math.min(wanted, this.#limit * growthRatio + headroomRequests));
    }
  }

  #mustProbe(nowMs: number, wanted: number): boolean {
    if (nowMs < this.#restUntilMs) return false;
    return nowMs >= this.#nextProbeMs || wanted < this.#limit * shrinkTriedRatio || this.#limit > this.#above(this.#knee) * outgrownRatio;
  }

  /** Most callers had left when their turn came: whatever else is true, fewer must be let in until that ends. */
  #backOff(): void {
    this.#probing = false;
    this.#guess = 0;
    this.#set(this.#limit * backOffRatio);
  }

  #searchBelowGuess(nowMs: number, inUse: number): void {
    this.#guess = this.#limit;
    this.#guessMs = this.#latencyMs;
    this.#drain.begin();
    this.#search(nowMs, 0, inUse, Math.min(probeRatioMin, (this.#window.among * firstProbeRatio) / inUse));
  }

  /** Begins to look for the knee below what is in use; `throughput` is 0 where it is not known. */
  #search(nowMs: number, throughput: number, inUse: number, ratio: number): void {
    this.#probing = true;
    this.#probeStartMs = nowMs;
    this.#throughput = throughput;
    this.#windows = throughput === 0 ? 0 : 1;
    this.#probe(nowMs, inUse, ratio);
  }

  /** Lets fewer in, to see what their time is then. */
  #probe(nowMs: number, inUse: number, ratio: number): void {
    const lower = Math.max(1, inUse * ratio);
    if (Math.floor(lower) >= Math.floor(inUse)) {
      // One at a time: nothing is left to take away, and this is the time without waiting.
      this.#finish(nowMs);
      return;
    }
    this.#limit = lower;
    this.#settle(this.#latencyMs * (lower / inUse));
  }

  /** The window of a probe: was it only queueing that the smaller number took away? */
  #conclude(nowMs: number): void {
    const { throughput, inUse } = this.#window;
    if (this.#guess > 0 && this.#latencyMs > this.#guessMs * shorterMax) {
      this.#keepGuess(nowMs);
      return;
    }
    const drained = this.#guess > 0 ? this.#drain.perMs : 0;
    this.#guess = 0;
    // What all workers did while those before it were worked off: no second probe is needed, which would cost far more than the first.
    if (drained > 0) this.#throughput = Math.max(drained, throughput);
    if (drained > 0 || throughput < this.#throughput * throughputShareMin) {
      this.#finish(nowMs);
      return;
    }
    if (throughput * throughputShareMin > this.#throughput) this.#windows = 0;
    this.#throughput = (this.#throughput * this.#windows + throughput) / (this.#windows + 1);
    this.#windows++;
    this.#probe(nowMs, inUse, probeRatio);
  }

  /** Fewer requests take as long as all of them did: the application has become slow, and they do not wait for each other. */
  #keepGuess(nowMs: number): void {
    const guess = this.#guess;
    this.#guess = 0;
    this.#probing = false;
    this.#baselineMs = this.#latencyMs;
    this.#restUntilMs = nowMs + (nowMs - this.#probeStartMs) * restRatioMin;
    this.#set(guess);
  }

  /** By Little's law: what the application carried, each for the time that it takes without waiting. */
  #finish(nowMs: number): void {
    this.#baselineMs = this.#latencyMs;
    const found = this.#throughput * Math.max(this.#baselineMs, this.#grainMs);
    const isConfirmed = Math.abs(found - this.#knee) <= kneeErrorRatio * this.#knee;
    this.#knee = isConfirmed ? this.#knee + kneeWeight * (found - this.#knee) : found;
    this.#restRatio = isConfirmed ? Math.min(restRatioMax, this.#restRatio * restGrowthRatio) : restRatioMin;
    const tookMs = nowMs - this.#probeStartMs;
    this.#restUntilMs = nowMs + tookMs * restRatioMin;
    this.#nextProbeMs = nowMs + Math.max(isConfirmed ? probeIntervalMs : 0, tookMs * this.#restRatio);
    this.#probing = false;
    this.#guess = 0;
    this.#set(this.#above(this.#knee));
  }

  /** The limit for a knee. */
  #above(knee: number): number {
    return knee * (headroomRatio + headroomForVariation * Math.min(variationMax, this.#variation)) + headroomRequests;
  }

  #set(limit: number): void {
    this.#limit = Math.min(this.#bounds.max, Math.max(this.#bounds.min, limit));
    this.#settle(this.#latencyMs);
  }

  #settle(settleMs: number): void {
    this.#settling = true;
    this.#settleMs = settleMs;
    this.#drainedMs = -1;
  }
}
