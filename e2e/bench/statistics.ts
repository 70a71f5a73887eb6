/** The middle of `values`, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? (sorted[Math.floor(middle)] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** The value at or under which `share` (in [0, 1]) of `values` lie; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Median and range of a set of measurements. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly samples: readonly number[];
}

/** The summary of `samples`, which stay in the order in which they were taken. */
export function summarize(samples: readonly number[]): Summary {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples };
}

/** The ratios of two series taken side by side: sample by sample, so that what slowed both of a pair cancels out. */
export function pairedRatios(samples: readonly number[], base: readonly number[]): Summary {
  return summarize(samples.map((sample, at) => sample / (base[at] ?? Number.NaN)));
}

/** Names in the order of one round: forward, then backward (A-B-B-A), so that a drift of the machine hits all alike. */
export function roundOrder(names: readonly string[]): readonly string[] {
  return [...names, ...names.toReversed()];
}
