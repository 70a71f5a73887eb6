/**
 * How often requests to one target (an endpoint, or a place) ended in slowness: timeouts, and the gateway errors by which
 * another proxy tells of one. By itself it proves nothing, since the caller, the way, or a service behind may be as slow for
 * all: it counts where another target of the same service does clearly better (ADR 13). Mutable and owned by the data path;
 * times are monotonic ms.
 */
export interface Slowness {
  /** Share in [0, 1] of the latest requests that ended so: a mean over the first ones, then the newest weighs a twentieth. */
  ratio: number;
  /** Requests that `ratio` stands for, counted to `samplesMax`. */
  samples: number;
  lastMs: number;
  /** Moments of slowness since most requests have ended in it. */
  moments: number;
  lastMomentMs: number;
}

/** What a comparison says of a target: slower than another; no worse than all others, or than some while the rest is not known well enough; or nothing yet. */
export type Comparison = "slower" | "alike" | "partlyAlike" | "unknown";

const samplesMax = 20;
/** A ratio without a newer sample counts no longer; what comes then begins anew. */
const sampleAgeMs = 60_000;
/** From here on most requests to a target end in slowness. */
const slowRatioMin = 0.5;
/** … and below this they do not any more: a ratio that sways about one bound would begin a comparison again and again. */
const wellRatioMax = 0.25;
/** Clearly better is a seventh of it: six answers beside a target that answers nothing. Two targets at the same limit fail in different shares, too. */
const betterFactor = 0.15;
/** Slowness ends many requests at one moment, and that moment counts once. */
const momentMs = 500;

/** A target of which nothing has been seen. */
export function createSlowness(): Slowness {
  return { ratio: 0, samples: 0, lastMs: Number.NEGATIVE_INFINITY, moments: 0, lastMomentMs: Number.NEGATIVE_INFINITY };
}

/** A request was answered in time. No allocation. */
export function recordAnswer(slowness: Slowness, nowMs: number): void {
  sample(slowness, 0, nowMs);
  if (slowness.ratio < wellRatioMax) slowness.moments = 0;
}

/**
 * A request ended in slowness. `isBurst`: many end so at once, so those within half a second are one moment. With the first
 * moment a comparison begins, and what the `others` are compared by is only what they do from then on. No allocation.
 */
export function recordSlowEnd(slowness: Slowness, others: readonly Slowness[], end: { readonly isBurst: boolean; readonly nowMs: number }): void {
  const { isBurst, nowMs } = end;
  sample(slowness, 1, nowMs);
  if (slowness.ratio < slowRatioMin || (isBurst && nowMs - slowness.lastMomentMs < momentMs)) return;
  slowness.moments++;
  slowness.lastMomentMs = nowMs;
  if (slowness.moments > 1) return;
  for (const other of others) {
    if (other.moments === 0) other.samples = 0;
  }
}

/** What was seen counts no longer: its target is judged, and begins anew. */
export function forgetSlowness(slowness: Slowness): void {
  slowness.samples = 0;
  slowness.moments = 0;
}

/**
 * The share of slow ends that may be believed against a target. The fewer requests a ratio stands for, the less it is believed,
 * here and, the other way round, of those it is compared with: by a rule of succession, stricter on this side.
 */
export function believedRatio(slowness: Slowness): number {
  return (slowness.ratio * slowness.samples) / (slowness.samples + 4);
}

/** True when most of its latest requests ended in slowness, over at least `momentsMin` moments. */
export function isSlow(slowness: Slowness, momentsMin: number, nowMs: number): boolean {
  return isKnown(slowness, nowMs) && slowness.moments >= momentsMin && believedRatio(slowness) >= slowRatioMin;
}

/** Compares a target's believed ratio with the other targets of the service. O(others), no allocation. */
export function compareSlowness(believed: number, others: readonly Slowness[], nowMs: number): Comparison {
  const betterRatio = believed * betterFactor;
  let alike = 0;
  for (const other of others) {
    if (!isKnown(other, nowMs)) continue;
    const fearedRatio = (other.ratio * other.samples + 1) / (other.samples + 2);
    if (fearedRatio <= betterRatio) return "slower";
    if (believedRatio(other) > betterRatio) alike++;
  }
  if (alike === 0) return "unknown";
  return alike === others.length ? "alike" : "partlyAlike";
}

function isKnown(slowness: Slowness, nowMs: number): boolean {
  return slowness.samples > 0 && nowMs - slowness.lastMs <= sampleAgeMs;
}

function sample(slowness: Slowness, value: 0 | 1, nowMs: number): void {
  if (nowMs - slowness.lastMs > sampleAgeMs) {
    slowness.samples = 0;
    slowness.moments = 0;
  }
  slowness.samples = Math.min(samplesMax, slowness.samples + 1);
  slowness.ratio = slowness.samples === 1 ? value : slowness.ratio + (value - slowness.ratio) / slowness.samples;
  slowness.lastMs = nowMs;
}
