/** A level counts as full while its healthy share times this is at least 1; Envoy's default, so that operators' knowledge carries over. */
export const defaultOverprovisioning = 1.4;

/** Below this healthy share a level that is needed ignores readiness; Envoy's default of 50 %. */
export const panicThresholdRatio = 0.5;

/**
 * Share of traffic for each priority level; index 0 is the local region. Entries are ratios in [0, 1] and sum to 1,
 * or are all 0 when nothing is healthy. A level is full while healthyRatio * overprovisioning >= 1. Pure, O(levels).
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
 */
export function priorityLoads(healthyRatios: readonly number[], overprovisioning: number): readonly number[] {
  const scores = healthyRatios.map((ratio) => availability(ratio, overprovisioning));
  const total = Math.min(1, sum(scores));
  if (total === 0) return scores;
  let left = 1;
  const loads = scores.map((score) => {
    const load = Math.min(left, score / total);
    left -= load;
    return load;
  });
  // What rounding left over goes to the last level that takes anything.
  const last = loads.findLastIndex((load) => load > 0);
  loads[last] = (loads[last] ?? 0) + left;
  return loads;
}

/**
 * Which levels are in panic: less than half healthy while all levels together cannot carry the traffic.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold
 */
export function panickedLevels(healthyRatios: readonly number[], overprovisioning: number): readonly boolean[] {
  const total = sum(healthyRatios.map((ratio) => availability(ratio, overprovisioning)));
  // The sum of ratios such as 0.3 * 1.4 is only almost 1 where it should be 1.
  return healthyRatios.map((ratio) => total < 1 - 1e-9 && ratio < panicThresholdRatio);
}

/** How much of its normal share something with this healthy ratio can carry, in [0, 1]. */
export function availability(healthyRatio: number, overprovisioning: number): number {
  return Math.min(1, Math.max(0, healthyRatio) * overprovisioning);
}

function sum(values: readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
