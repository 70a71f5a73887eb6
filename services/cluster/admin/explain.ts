import type { Explanation } from "#federation/admin-api/status.ts";
import type { RegionId } from "#federation/model/names.ts";
import { overloadsByService, type InstanceOverload } from "#federation/model/overload.ts";
import { unobservedCondition } from "#federation/model/verdict.ts";
import { explainChoice } from "#federation/routing/explain.ts";
import { buildRouteTable, matchRoute } from "#federation/routing/match-route.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ClusterState } from "../cluster-state.ts";
import { buildServices } from "../discovery/build-resources.ts";

/**
 * Why a service is served where it is, as this plane knows it. A proxy knows more (round trips and its own evidence)
 * and answers the same question on its admin port.
 * @throws {ATOLL_NOT_FOUND} when no such service is visible here.
 */
export function explainService(known: { readonly state: ClusterState; readonly overloads: readonly InstanceOverload[] }, question: { readonly service: string; readonly region?: RegionId }, nowMs: number): Explanation {
  const { state } = known;
  const services = buildServices(state);
  const host = question.service.includes("/") ? question.service.split("/").toReversed().join(".") : question.service;
  const target = matchRoute(buildRouteTable(services), host);
  const service = target === undefined ? undefined : services.get(target.service.host);
  if (service === undefined) throw new AtollError("ATOLL_NOT_FOUND", `no service ${question.service} is visible from cluster ${state.self.cluster}`);
  const region = question.region ?? state.self.region;
  const overload = overloadsByService(known.overloads).find((candidate) => candidate.namespace === service.ref.namespace && candidate.service === service.ref.name);
  const explained = explainChoice({
    service,
    viewpoint: { region, cluster: state.self.cluster, roundTripMs: new Map() },
    conditionOf: () => unobservedCondition,
    loadOf: (cluster) => (overload !== undefined && cluster === state.self.cluster ? { overload } : undefined),
    nowMs,
  });
  const notes = ["Seen by the control plane: it measures no round trips and sends no requests; a proxy's own admin port answers with both."];
  return {
    service: service.host,
    fromCluster: state.self.cluster,
    fromRegion: region,
    asOfMs: Math.floor(nowMs),
    localityMode: explained.mode,
    ...(explained.chosen === undefined ? {} : { chosen: explained.chosen }),
    places: explained.places.map((place, order) => {
      const source = service.places.find((candidate) => candidate.cluster === place.cluster);
      const counts = source?.kind === "remote" ? source : undefined;
      const local = source?.kind === "local" ? source.endpoints : [];
      return {
        cluster: place.cluster,
        region: place.region,
        endpointsReady: counts?.endpointsReady ?? local.filter((endpoint) => endpoint.readiness === "ready").length,
        endpointsTotal: counts?.endpointsTotal ?? local.length,
        ageMs: place.ageMs ?? 0,
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
