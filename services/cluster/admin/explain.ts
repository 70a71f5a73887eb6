import { placeAges } from "#federation/admin-api/place-ages.ts";
import type { Explanation } from "#federation/admin-api/status.ts";
import type { RegionId } from "#federation/model/names.ts";
import { unreachedByCluster, unreachedWords, type InstanceUnreached } from "#federation/model/unreached-cluster.ts";
import { explainChoice } from "#federation/routing/explain.ts";
import type { HeldAge } from "./cluster-status.ts";
import { endpointsOf, routingQuestion, type KnownServices } from "./routing-question.ts";

/**
 * Why a service is served where it is, as this plane knows it. A proxy knows more (round trips and its own evidence)
 * and answers the same question on its admin port.
 * @throws {ATOLL_NOT_FOUND} when no such service is visible here.
 */
export function explainService(known: KnownServices & { readonly heldAgeMs: HeldAge; readonly unreached: readonly InstanceUnreached[] }, asked: { readonly service: string; readonly region?: RegionId }, nowMs: number): Explanation {
  const { service, region, question } = routingQuestion(known, asked, nowMs);
  const explained = explainChoice(question);
  const unreached = unreachedByCluster(known.unreached).filter(({ cluster }) => service.places.some((place) => place.cluster === cluster));
  const notes = [
    ...unreached.map((row) => `${row.cluster} is out of reach: ${unreachedWords(row, { here: known.state.self.cluster, whom: "it" })}.`),
    "Seen by the control plane: it measures no round trips and sends no requests; a proxy's own admin port answers with both.",
  ];
  return {
    service: service.host,
    fromCluster: known.state.self.cluster,
    fromRegion: region,
    asOfMs: Math.floor(nowMs),
    localityMode: explained.mode,
    ...(explained.chosen === undefined ? {} : { chosen: explained.chosen }),
    places: explained.places.map((place, order) => {
      const source = service.places.find((candidate) => candidate.cluster === place.cluster);
      return {
        cluster: place.cluster,
        region: place.region,
        ...endpointsOf(service, place.cluster),
        ...(place.changedAgeMs === undefined ? { ageMs: 0 } : placeAges({ changedAgeMs: place.changedAgeMs, heldAgeMs: known.heldAgeMs(place.cluster) })),
        kind: source?.kind ?? "remote",
        order,
        verdict: place.verdict,
        loadShare: place.share,
        ...(place.roundTripMs === undefined ? {} : { roundTripMs: place.roundTripMs }),
        ...(place.load?.overload === undefined ? {} : { overload: { admits: place.load.overload.admits, asked: place.load.overload.asked } }),
        reason: place.because,
      };
    }),
    notes,
  };
}
