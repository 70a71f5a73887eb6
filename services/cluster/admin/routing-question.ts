import type { RegionId } from "#federation/model/names.ts";
import { overloadsByService, type InstanceOverload } from "#federation/model/overload.ts";
import type { EndpointView, Place, ServiceView } from "#federation/model/snapshot.ts";
import { unobservedCondition } from "#federation/model/verdict.ts";
import type { RoutingQuestion } from "#federation/routing/explain.ts";
import { buildRouteTable, matchRoute } from "#federation/routing/match-route.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ClusterState } from "../cluster-state.ts";
import { buildServices } from "../discovery/build-resources.ts";

/** What a plane knows of its services and of who is overloaded. */
export interface KnownServices {
  readonly state: ClusterState;
  readonly overloads: readonly InstanceOverload[];
}

/**
 * The question of a service's routing from this cluster, or as if from another region, by what its plane knows.
 * @throws {ATOLL_NOT_FOUND} when no such service is visible here.
 */
export function routingQuestion({ state, overloads }: KnownServices, asked: { readonly service: string; readonly region?: RegionId }, nowMs: number): { readonly service: ServiceView; readonly region: RegionId; readonly question: RoutingQuestion } {
  const services = buildServices(state);
  const host = asked.service.includes("/") ? asked.service.split("/").toReversed().join(".") : asked.service;
  const target = matchRoute(buildRouteTable(services), host);
  const service = target === undefined ? undefined : services.get(target.service.host);
  if (service === undefined) throw new AtollError("ATOLL_NOT_FOUND", `no service ${asked.service} is visible from cluster ${state.self.cluster}`);
  const region = asked.region ?? state.self.region;
  const overload = overloadsByService(overloads).find((candidate) => candidate.namespace === service.ref.namespace && candidate.service === service.ref.name);
  const question: RoutingQuestion = {
    service,
    viewpoint: { region, cluster: state.self.cluster, roundTripMs: new Map() },
    conditionOf: () => unobservedCondition,
    loadOf: (cluster) => (overload !== undefined && cluster === state.self.cluster ? { overload } : undefined),
    nowMs,
  };
  return { service, region, question };
}

/** How many instances of a service a place has that requests are sent to: ready ones, and those of which nothing is known, since unknown is not down. */
export function usableAt(service: ServiceView, cluster: string): number {
  const place = service.places.find((candidate) => candidate.cluster === cluster);
  if (place?.kind === "remote") return Math.min(place.endpointsReady + (place.endpointsUnknown ?? 0), place.endpointsTotal);
  return place?.kind === "local" ? place.endpoints.filter((endpoint) => endpoint.readiness !== "notReady").length : 0;
}

/** How many instances a place has, how many of them are ready, and of how many nothing is known. */
export interface EndpointCounts {
  readonly endpointsReady: number;
  readonly endpointsUnknown: number;
  readonly endpointsTotal: number;
}

export function endpointsOf(service: ServiceView, cluster: string): EndpointCounts {
  const place = service.places.find((candidate) => candidate.cluster === cluster);
  return place === undefined ? { endpointsReady: 0, endpointsUnknown: 0, endpointsTotal: 0 } : endpointCounts(place);
}

export function endpointCounts(place: Place): EndpointCounts {
  if (place.kind === "remote") return { endpointsReady: place.endpointsReady, endpointsUnknown: place.endpointsUnknown ?? 0, endpointsTotal: place.endpointsTotal };
  const count = (readiness: EndpointView["readiness"]): number => place.endpoints.filter((endpoint) => endpoint.readiness === readiness).length;
  return { endpointsReady: count("ready"), endpointsUnknown: count("unknown"), endpointsTotal: place.endpoints.length };
}
