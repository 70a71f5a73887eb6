import { freshAgeMsMax } from "#federation/model/stale-origins.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";

/** How many instances a place has, as a status says it; an older plane counts those that are not heard among the ready ones. */
export interface InstanceCounts {
  readonly endpointsReady: number;
  readonly endpointsUnknown?: number | undefined;
  readonly endpointsTotal: number;
}

/** "2/3", and how many of the rest are not heard: what is neither said that it is not ready. */
export function instanceWords({ endpointsReady, endpointsUnknown = 0, endpointsTotal }: InstanceCounts): string {
  return `${endpointsReady}/${endpointsTotal}${endpointsUnknown === 0 ? "" : ` (${endpointsUnknown} unknown)`}`;
}

/** Of a place that is known by another plane's word: the same, and how old that is where nobody confirms it any more. */
export function placeWords(place: InstanceCounts & { readonly ageMs: number }): string {
  return `${instanceWords(place)}${place.ageMs > freshAgeMsMax ? ` (as of ${describeAge(place.ageMs)} ago)` : ""}`;
}
