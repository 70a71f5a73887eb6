/** How the users of a demonstration call, and how long a request takes in the region that is to die. */
export interface DemoLoad {
  /** Of all regions' users, per second. */
  readonly ratePerSecond: number;
  /** Of each region's users, per second. */
  readonly rates: ReadonlyMap<string, number>;
  /** What the storefront of the region that dies works on a request, ms; absent where the applications are somebody else's. */
  readonly workMs?: number;
}

/** Most users live where it happens. */
const homeShare = 2 / 3;
/** In flight into the region, on average: some above the 50 that a drill is about. */
const inFlightAimed = 58;
/** What a request waits for besides the storefront's own work: the catalog or the payments behind it, ms. */
export const behindMs = 20;
/** Shorter work would let too few be in flight at the highest rate. */
const workMsMin = 150;
/** Longer work would come near to what a user waits. */
const workMsMax = 3_000;
const lowerRatio = 0.6;
/** With fewer requests, work of the longest kind would not keep enough in flight. */
const rateLowest = 30;
/** Less than this of a region's users is nobody. */
const regionRateMin = 5;

/**
 * The load of a drill in which `region` dies. Requests in flight are rate × time, so a small host reaches their number by a
 * storefront that works longer, not by more requests. Pure.
 */
export function loadFor(ratePerSecond: number, region: string, regions: readonly string[]): DemoLoad & { readonly workMs: number } {
  const others = regions.filter((other) => other !== region);
  const homeRate = others.length === 0 ? ratePerSecond : Math.max(regionRateMin, Math.round(ratePerSecond * homeShare));
  const otherRate = others.length === 0 ? 0 : Math.max(regionRateMin, Math.round((ratePerSecond - homeRate) / others.length));
  return {
    ratePerSecond,
    rates: new Map([[region, homeRate], ...others.map((other) => [other, otherRate] as const)]),
    workMs: Math.min(Math.max(Math.round((inFlightAimed * 1_000) / homeRate) - behindMs, workMsMin), workMsMax),
  };
}

/** A load of users whose shares a file says, in all so many requests per second. Pure. */
export function loadOf(users: readonly { readonly region: string; readonly ratePerSecond: number }[], ratePerSecond: number): DemoLoad {
  const written = users.reduce((sum, group) => sum + group.ratePerSecond, 0);
  return { ratePerSecond, rates: new Map(users.map((group) => [group.region, Math.max(1, Math.round((group.ratePerSecond * ratePerSecond) / written))])) };
}

/** The next lower rate for a host that does not keep up with this one; undefined when there is none. */
export function lowerRate(ratePerSecond: number): number | undefined {
  return ratePerSecond <= rateLowest ? undefined : Math.max(rateLowest, Math.round(ratePerSecond * lowerRatio));
}
