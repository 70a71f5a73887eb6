import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Verdict } from "#federation/model/verdict.ts";

/** What one cluster's plane or proxies hold of one region. */
export interface RegionObservation {
  readonly observer: ClusterId;
  readonly region: RegionId;
  readonly verdict: Verdict;
  /** How old the observation is. */
  readonly ageMs: number;
}

/** The verdict on a region, with how many observers it rests on. */
export interface RegionVerdict {
  readonly verdict: Verdict;
  readonly observersDown: number;
  /** Observers whose word is fresh and not `unknown`. */
  readonly observersHeard: number;
}

/**
 * One observer's verdict on a region from its verdicts on the places there: down only when every place is, because a
 * place of which nothing is known may well serve. Without any place it is unknown.
 */
export function regionVerdict(places: readonly Verdict[]): Verdict {
  if (places.every((verdict) => verdict === "unknown")) return "unknown";
  if (places.every((verdict) => verdict === "down")) return "down";
  return places.some((verdict) => verdict === "down" || verdict === "suspect") ? "suspect" : "healthy";
}

/**
 * What all observers together hold of a region. Only observers outside it count when there are any: a region cut off sees
 * itself healthy. Down needs more than half of those heard, so that one observer behind a broken link cannot condemn a
 * region that the others reach; any lesser disagreement is suspect.
 */
export function combineObservations(observations: readonly RegionObservation[], regionOf: (observer: ClusterId) => RegionId | undefined, ageMsMax: number): RegionVerdict {
  const fresh = observations.filter((entry) => entry.ageMs <= ageMsMax && entry.verdict !== "unknown");
  const outside = fresh.filter((entry) => regionOf(entry.observer) !== entry.region);
  const heard = outside.length > 0 ? outside : fresh;
  const observersDown = heard.filter((entry) => entry.verdict === "down").length;
  const observersHeard = heard.length;
  if (observersHeard === 0) return { verdict: "unknown", observersDown, observersHeard };
  if (observersDown * 2 > observersHeard) return { verdict: "down", observersDown, observersHeard };
  const healthy = heard.every((entry) => entry.verdict === "healthy");
  return { verdict: healthy ? "healthy" : "suspect", observersDown, observersHeard };
}
