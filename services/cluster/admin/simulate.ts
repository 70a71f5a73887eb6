import type { SimulationAnswer } from "#federation/admin-api/status.ts";
import type { RegionId } from "#federation/model/names.ts";
import { simulateLoss, type Loss } from "#federation/routing/simulate.ts";
import { endpointsOf, routingQuestion, usableAt, type KnownServices } from "./routing-question.ts";

/**
 * What the loss of regions and clusters would do to the requests of this cluster's callers to a service, by the functions that route
 * them. Nothing is changed.
 * @throws {ATOLL_NOT_FOUND} when no such service is visible here.
 */
export function simulateService(known: KnownServices, asked: { readonly service: string; readonly region?: RegionId } & { readonly loss: Loss }, nowMs: number): SimulationAnswer {
  const { service, region, question } = routingQuestion(known, asked, nowMs);
  const { after, changes, served, callerLost } = simulateLoss(question, asked.loss);
  const places = changes.map(({ cluster, region: placeRegion, lost, shareBefore, shareAfter }) => ({ cluster, region: placeRegion, lost, ...endpointsOf(service, cluster), loadShareBefore: shareBefore, loadShareAfter: shareAfter }));
  const usableOf = (counted: typeof places): number => counted.reduce((sum, { cluster }) => sum + usableAt(service, cluster), 0);
  const usable = usableOf(places);
  return {
    service: service.host,
    fromCluster: known.state.self.cluster,
    fromRegion: region,
    asOfMs: Math.floor(nowMs),
    served,
    callerLost,
    ...(served && after.chosen !== undefined ? { chosen: after.chosen } : {}),
    capacityLeft: usable === 0 ? 0 : usableOf(places.filter(({ lost }) => !lost)) / usable,
    places,
    notes: ["By what this plane knows now: it measures no round trips, and an instance counts as much as any other."],
  };
}
