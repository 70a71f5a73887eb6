import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Place } from "#federation/model/snapshot.ts";
import type { LocalityPolicy } from "#federation/model/traffic-policy.ts";

/** From where a service is called. */
export interface Viewpoint {
  readonly region: RegionId;
  readonly cluster: ClusterId;
  /** Measured round trip to each cluster's gateway in ms. Smooth it first: the order follows it exactly. */
  readonly roundTripMs: ReadonlyMap<ClusterId, number>;
}

/** A place with its rank: what does not change with health. */
export interface RankedPlace {
  readonly place: Place;
  /** Index of the priority level, 0 first. */
  readonly level: number;
  /** Share of its region within the level, relative to the other regions there; 1 unless the policy sets weights. */
  readonly regionWeight: number;
  /** What it can carry, in endpoint weights; 0 when it has no endpoint. */
  readonly capacity: number;
  /** Share in [0, 1] of the capacity that the registry does not call unready. Unknown counts as usable. */
  readonly readyRatio: number;
  readonly roundTripMs: number | undefined;
  /** True in the caller's own cluster. */
  readonly own: boolean;
}

/** The places of one service in the order in which they are tried: levels ascending, in a level own cluster first, then by round trip and name. */
export interface PlaceOrder {
  readonly mode: LocalityPolicy["mode"];
  readonly levels: number;
  readonly places: readonly RankedPlace[];
}

/** Orders `places` as `policy` wants it from `viewpoint`. Run it when the snapshot or a round trip changes, not for each request. Pure, O(n log n). */
export function orderPlaces(places: readonly Place[], policy: LocalityPolicy, viewpoint: Viewpoint): PlaceOrder {
  const keyOf = levelKeys(places, policy, viewpoint);
  const sorted = places
    .map((place) => ({ place, key: keyOf(place), roundTripMs: roundTripOf(place, viewpoint) }))
    .sort((left, right) => left.key - right.key || compareInLevel(left.place, right.place, viewpoint));
  let level = -1;
  let key: number | undefined;
  const ranked = sorted.map((entry): RankedPlace => {
    if (entry.key !== key) {
      key = entry.key;
      level++;
    }
    return {
      place: entry.place,
      level,
      regionWeight: entry.key === weightedKey ? weightOf(policy, entry.place.region) : 1,
      ...capacityOf(entry.place),
      roundTripMs: entry.roundTripMs,
      own: entry.place.cluster === viewpoint.cluster,
    };
  });
  return { mode: policy.mode, levels: level + 1, places: ranked };
}

/** Sorts before every rank of a region: the level in which weights apply. */
const weightedKey = -1;

/** A number for each place such that equal numbers are one level and smaller ones come first. */
function levelKeys(places: readonly Place[], policy: LocalityPolicy, viewpoint: Viewpoint): (place: Place) => number {
  const regions = rankRegions(places, policy, viewpoint);
  return (place) => {
    if (policy.mode === "weights" && weightOf(policy, place.region) > 0) return weightedKey;
    // Two keys for a region: the own cluster is a level before the other clusters of its region.
    const rank = (regions.get(place.region) ?? 0) * 2;
    return place.region === viewpoint.region && place.cluster !== viewpoint.cluster ? rank + 1 : rank;
  };
}

function rankRegions(places: readonly Place[], policy: LocalityPolicy, viewpoint: Viewpoint): ReadonlyMap<RegionId, number> {
  const nearestMs = new Map<RegionId, number>();
  for (const place of places) {
    const roundTripMs = roundTripOf(place, viewpoint) ?? Number.POSITIVE_INFINITY;
    nearestMs.set(place.region, Math.min(nearestMs.get(place.region) ?? Number.POSITIVE_INFINITY, roundTripMs));
  }
  const listed = (region: RegionId): number => {
    const at = policy.mode === "ordered" ? policy.order.indexOf(region) : -1;
    if (at !== -1) return at;
    return region === viewpoint.region ? -1 : Number.MAX_SAFE_INTEGER;
  };
  const sorted = [...nearestMs.keys()].sort(
    (left, right) => listed(left) - listed(right) || compareNumbers(nearestMs.get(left), nearestMs.get(right)) || compareNames(left, right),
  );
  return new Map(sorted.map((region, rank) => [region, rank]));
}

function compareInLevel(left: Place, right: Place, viewpoint: Viewpoint): number {
  const own = Number(right.cluster === viewpoint.cluster) - Number(left.cluster === viewpoint.cluster);
  const region = Number(right.region === viewpoint.region) - Number(left.region === viewpoint.region);
  return own || region || compareNumbers(roundTripOf(left, viewpoint), roundTripOf(right, viewpoint)) || compareNames(left.cluster, right.cluster);
}

function roundTripOf(place: Place, viewpoint: Viewpoint): number | undefined {
  return place.cluster === viewpoint.cluster ? 0 : viewpoint.roundTripMs.get(place.cluster);
}

/** An unmeasured round trip comes after every measured one. */
function compareNumbers(left = Number.POSITIVE_INFINITY, right = Number.POSITIVE_INFINITY): number {
  return left === right ? 0 : left - right;
}

function compareNames(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function weightOf(policy: LocalityPolicy, region: RegionId): number {
  if (policy.mode !== "weights") return 1;
  return policy.weights.find((entry) => entry.region === region)?.weight ?? 0;
}

function capacityOf(place: Place): { readonly capacity: number; readonly readyRatio: number } {
  if (place.kind === "remote") {
    const capacity = Math.max(0, place.endpointsTotal);
    // Unknown is not down, as among the endpoints of a place of our own.
    const usable = place.endpointsReady + (place.endpointsUnknown ?? 0);
    return { capacity, readyRatio: capacity === 0 ? 0 : Math.min(1, Math.max(0, usable) / capacity) };
  }
  let capacity = 0;
  let usable = 0;
  for (const endpoint of place.endpoints) {
    capacity += endpoint.weight;
    if (endpoint.readiness !== "notReady") usable += endpoint.weight;
  }
  return { capacity, readyRatio: capacity === 0 ? 0 : usable / capacity };
}
