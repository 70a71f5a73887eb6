import type { PlaceCondition } from "#federation/model/verdict.ts";
import type { PlaceOrder, RankedPlace } from "./order-places.ts";
import { availability, defaultOverprovisioning, panickedLevels, priorityLoads } from "./priority-loads.ts";

/** How the traffic of one service is spread now. Immutable: a changed verdict makes a new one, requests only read it. */
export interface PlaceShares {
  readonly order: PlaceOrder;
  /** For each place of `order.places`; sums to 1, or all 0 when there is nothing but lowered or empty places. */
  readonly shares: Float64Array;
  /** Indices into `order.places` in the order of last resort: what may carry traffic, then unready ones, then lowered ones. */
  readonly lastResort: Int32Array;
  readonly levelLoads: readonly number[];
  readonly panicked: readonly boolean[];
}

/**
 * Spreads load over the levels by Envoy's arithmetic, within a level over regions by weight and over clusters by
 * ready capacity. Panic distrusts readiness counts, never the data path: a lowered place has no share at all and is
 * reached as a last resort only. A slow place that there is nothing to compare with lends a few of its requests to the next.
 * `conditions[i]` belongs to `order.places[i]`. Pure, O(places).
 */
export function shareLoad(order: PlaceOrder, conditions: readonly PlaceCondition[], overprovisioning = defaultOverprovisioning): PlaceShares {
  const members = levelMembers(order, conditions);
  const ratios = members.map((level) => levelRatio(order, level));
  const levelLoads = priorityLoads(ratios, overprovisioning);
  const panicked = panickedLevels(ratios, overprovisioning);
  const shares = new Float64Array(order.places.length);
  if (levelLoads.some((load) => load > 0)) {
    for (const [level, load] of levelLoads.entries()) {
      if (load > 0) spreadLevel(shares, members[level] ?? [], { load, weighted: order.mode === "weights", ignoreReadiness: panicked[level] === true, overprovisioning });
    }
  } else {
    spreadByCapacity(shares, members.flat(), 1, true);
  }
  const lastResort = lastResortOrder(order, conditions);
  for (const [index, condition] of conditions.entries()) {
    if (condition.probeRatio > 0) lendProbes(shares, index, { ratio: condition.probeRatio, to: lastResort.find((other) => other !== index && mayAnswer(order, conditions, other)) });
  }
  return { order, shares, lastResort, levelLoads, panicked };
}

function lendProbes(shares: Float64Array, from: number, probe: { readonly ratio: number; readonly to: number | undefined }): void {
  if (probe.to === undefined) return;
  const lent = (shares[from] ?? 0) * probe.ratio;
  shares[from] = (shares[from] ?? 0) - lent;
  shares[probe.to] = (shares[probe.to] ?? 0) + lent;
}

/** Has somebody who may answer, and nothing is said against it. */
function mayAnswer(order: PlaceOrder, conditions: readonly PlaceCondition[], index: number): boolean {
  const ranked = order.places[index];
  const condition = conditions[index];
  return ranked !== undefined && ranked.capacity > 0 && ranked.readyRatio > 0 && condition?.lowered === false && condition.probeRatio === 0;
}

interface Member {
  readonly index: number;
  readonly ranked: RankedPlace;
  readonly lowered: boolean;
  /** Capacity that readiness and the ramp leave. */
  readonly usable: number;
}

function levelMembers(order: PlaceOrder, conditions: readonly PlaceCondition[]): readonly (readonly Member[])[] {
  const levels: Member[][] = Array.from({ length: order.levels }, () => []);
  for (const [index, ranked] of order.places.entries()) {
    const condition = conditions[index];
    const lowered = condition?.lowered ?? false;
    const usable = lowered ? 0 : ranked.capacity * ranked.readyRatio * (condition?.rampRatio ?? 1);
    levels[ranked.level]?.push({ index, ranked, lowered, usable });
  }
  return levels;
}

/**
 * Healthy share of a level. With weights, the best region's: a region that is down gives its share to the other
 * weighted regions, and only when none of them is whole does traffic spill to the next level.
 */
function levelRatio(order: PlaceOrder, members: readonly Member[]): number {
  if (order.mode !== "weights") return healthyRatio(members);
  return Math.max(0, ...byRegion(members).map((region) => healthyRatio(region)));
}

function healthyRatio(members: readonly Member[]): number {
  let capacity = 0;
  let usable = 0;
  for (const member of members) {
    capacity += member.ranked.capacity;
    usable += member.usable;
  }
  return capacity === 0 ? 0 : usable / capacity;
}

interface Spread {
  readonly load: number;
  readonly weighted: boolean;
  readonly ignoreReadiness: boolean;
  readonly overprovisioning: number;
}

function spreadLevel(shares: Float64Array, members: readonly Member[], spread: Spread): void {
  const regions = byRegion(members);
  // Without weights a level is one pool of capacity; with them each region gets its part of the load.
  if (!spread.weighted) {
    spreadByCapacity(shares, members, spread.load, spread.ignoreReadiness);
    return;
  }
  const scores = regions.map((region) => {
    const reachable = region.some((member) => !member.lowered && member.ranked.capacity > 0);
    return spread.ignoreReadiness ? Number(reachable) : availability(healthyRatio(region), spread.overprovisioning);
  });
  const weights = regions.map((region, at) => ((scores[at] ?? 0) > 0 ? (region[0]?.ranked.regionWeight ?? 0) : 0));
  // Against the largest of them: a weight that is small beside nothing must not become 0 when it is multiplied.
  const largest = Math.max(...weights);
  const parts = weights.map((weight, at) => (largest === 0 ? 0 : (weight / largest) * (scores[at] ?? 0)));
  const total = parts.reduce((left, right) => left + right, 0);
  for (const [at, region] of regions.entries()) {
    const part = parts[at] ?? 0;
    if (part > 0) spreadRegion(shares, region, { ...spread, load: (spread.load * part) / total });
  }
}

/** Inside a weighted region the own cluster carries what it can, and the region's other clusters the rest. */
function spreadRegion(shares: Float64Array, members: readonly Member[], spread: Spread): void {
  const own = members.filter((member) => member.ranked.own && !member.lowered);
  const others = members.filter((member) => !member.ranked.own);
  const othersUsable = others.some((member) => member.usable > 0);
  const ownPart = othersUsable ? availability(healthyRatio(own), spread.overprovisioning) : Number(own.some((member) => member.usable > 0));
  if (ownPart === 0) {
    spreadByCapacity(shares, members, spread.load, spread.ignoreReadiness);
    return;
  }
  spreadByCapacity(shares, own, spread.load * ownPart, spread.ignoreReadiness);
  if (ownPart < 1) spreadByCapacity(shares, others, spread.load * (1 - ownPart), spread.ignoreReadiness);
}

function spreadByCapacity(shares: Float64Array, members: readonly Member[], load: number, ignoreReadiness: boolean): void {
  const carried = (member: Member): number => (ignoreReadiness && !member.lowered ? member.ranked.capacity : member.usable);
  let total = 0;
  for (const member of members) total += carried(member);
  if (total === 0) return;
  for (const member of members) shares[member.index] = (shares[member.index] ?? 0) + (load * carried(member)) / total;
}

function byRegion(members: readonly Member[]): readonly (readonly Member[])[] {
  return [...Map.groupBy(members, (member) => member.ranked.place.region).values()];
}

function lastResortOrder(order: PlaceOrder, conditions: readonly PlaceCondition[]): Int32Array {
  const rank = (index: number): number => {
    const ranked = order.places[index];
    const empty = ranked === undefined || ranked.capacity === 0 || ranked.readyRatio === 0;
    return (conditions[index]?.lowered === true ? 2 : 0) + (empty ? 1 : 0);
  };
  // `order.places` is in the order of preference, and sort is stable.
  return Int32Array.from(order.places.keys()).sort((left, right) => rank(left) - rank(right) || left - right);
}
