import type { ServiceHost, SpiffeId } from "#federation/model/names.ts";
import type { Service, ServiceImport } from "#federation/model/resource.ts";
import { serviceHost, serviceSni, type ServiceRef } from "#federation/model/service.ts";
import type { CallerRule, EndpointView, GatewayAddress, GatewayRoute, InboundPort, Place, ServiceView } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy, fillTrafficPolicy, type TrafficPolicySpec } from "#federation/model/traffic-policy.ts";
import { entriesWithPrefix } from "#federation/runtime/ordered-map.ts";
import type { ClusterState, EndpointState } from "../cluster-state.ts";
import { targetKey } from "../policies-by-target.ts";
import { gatewaysForRegion } from "../gateways-for-region.ts";
import { endpointsOf, identitiesOf, namespaceOf, refOf } from "../exports/derive-exports.ts";

/** The services that workloads of this cluster may call, with every place that serves them. Pure. */
export function buildServices(state: ClusterState): ReadonlyMap<ServiceHost, ServiceView> {
  const names = new Set([...state.services.keys(), ...[...state.imports.values()].map(({ spec }) => `${spec.namespace}/${spec.name}`)]);
  return new Map([...names].flatMap((name) => [...buildServicesNamed(state, name)]));
}

/** Those of them whose `namespace/name` is `name`: one of our own, and one for each other trust domain that has it. Pure, O(places, instances). */
export function buildServicesNamed(state: ClusterState, name: string): ReadonlyMap<ServiceHost, ServiceView> {
  const views = new Map<ServiceHost, ServiceView>();
  const service = state.services.get(name);
  if (service !== undefined) {
    const view = localView(state, service);
    views.set(view.host, view);
  }
  for (const [, imported] of entriesWithPrefix(state.imports, `${name}.`)) {
    if (`${imported.spec.namespace}/${imported.spec.name}` !== name) continue;
    const view = views.get(serviceHost(imported.spec)) ?? importedView(state, imported);
    views.set(view.host, withImport(state, view, imported));
  }
  return views;
}

function localView(state: ClusterState, service: Service): ServiceView {
  const ref = refOf(state, service);
  const local: Place = {
    kind: "local",
    cluster: state.self.cluster,
    region: state.self.region,
    endpoints: endpointsOf(state, service).map((endpoint) => endpointView(state, endpoint)),
  };
  return {
    ref,
    host: serviceHost(ref),
    aliases: aliasesOf(state, ref),
    ports: service.spec.ports,
    serverIdentities: identitiesOf(state, service),
    policy: policyFor(state, ref),
    places: [local],
  };
}

function importedView(state: ClusterState, imported: ServiceImport): ServiceView {
  const { namespace, name, trustDomain } = imported.spec;
  const ref: ServiceRef = { namespace, name, trustDomain };
  return {
    ref,
    host: serviceHost(ref),
    aliases: aliasesOf(state, ref),
    ports: imported.spec.ports,
    serverIdentities: [],
    policy: policyFor(state, ref),
    places: [],
  };
}

/** Same name in two clusters of one trust domain is one service: places add up, and either's identities may answer. */
function withImport(state: ClusterState, view: ServiceView, imported: ServiceImport): ServiceView {
  const spec = imported.spec;
  const place: Place = {
    kind: "remote",
    cluster: spec.cluster,
    region: spec.region,
    gateways: gatewaysFor(state, imported),
    gatewayIdentity: `spiffe://${spec.trustDomain}/atoll/gateway/${spec.cluster}` as SpiffeId,
    endpointsReady: spec.endpointsReady,
    ...(spec.endpointsUnknown === undefined ? {} : { endpointsUnknown: spec.endpointsUnknown }),
    endpointsTotal: spec.endpointsTotal,
    asOfMs: spec.asOfMs,
  };
  return {
    ...view,
    serverIdentities: [...new Set([...view.serverIdentities, ...spec.serverIdentities])].toSorted(),
    places: [...view.places, place].toSorted(byCluster(state)),
  };
}

/** Own cluster first, then by name: an order that does not depend on when imports arrived. */
function byCluster(state: ClusterState): (a: Place, b: Place) => number {
  const rank = (place: Place): string => (place.cluster === state.self.cluster ? "" : place.cluster);
  return (a, b) => (rank(a) < rank(b) ? -1 : 1);
}

/** The addresses meant for callers of our region. */
function gatewaysFor(state: ClusterState, imported: ServiceImport): readonly GatewayAddress[] {
  return gatewaysForRegion(imported.spec.gateways, state.self.region).map(({ address, port }) => ({ address, port }));
}

function endpointView(state: ClusterState, { record, attached }: EndpointState): EndpointView {
  return {
    id: record.instanceId,
    address: record.address,
    port: record.inboundPort,
    locality: { region: state.self.region, ...(record.zone === undefined ? {} : { zone: record.zone }) },
    weight: record.weight,
    readiness: !record.ready ? "notReady" : attached ? "ready" : "unknown",
  };
}

/** Short names are for one's own trust domain only: a foreign service is always called by its full name. */
function aliasesOf(state: ClusterState, ref: ServiceRef): readonly string[] {
  if (ref.trustDomain !== state.self.trustDomain) return [];
  return [`${ref.name}.${ref.namespace}`, `${ref.name}.${ref.namespace}.svc.clusterset.local`];
}

function policyFor(state: ClusterState, ref: ServiceRef): TrafficPolicySpec {
  const found = state.policies.get(targetKey(ref));
  return found === undefined ? defaultTrafficPolicy : fillTrafficPolicy(found.spec);
}

/**
 * The inbound ports of the workload with `identity`, by SNI, with who may call them: every workload of its own
 * trust domain, and what an effective relationship names. Pure.
 */
export function buildInbound(state: ClusterState, identity: SpiffeId): ReadonlyMap<string, InboundPort> {
  return new Map([...state.services.keys()].flatMap((name) => [...buildInboundOf(state, name, identity)]));
}

/** Those of them that are of the service `name`. Pure, O(ports, relationships). */
export function buildInboundOf(state: ClusterState, name: string, identity: SpiffeId): ReadonlyMap<string, InboundPort> {
  const service = state.services.get(name);
  if (service === undefined || !identitiesOf(state, service).includes(identity)) return new Map();
  const ref = refOf(state, service);
  const callers = callersOf(state, ref);
  return new Map(service.spec.ports.map((port) => [serviceSni(serviceHost(ref), port.port), { ref, port, callers }]));
}

function callersOf(state: ClusterState, ref: ServiceRef): readonly CallerRule[] {
  const own: CallerRule = { trustDomain: ref.trustDomain, principals: ["*"] };
  const foreign = state.relationships
    .filter((relationship) => relationship.calleeTrustDomain === ref.trustDomain && relationship.services.includes(`${ref.namespace}/${ref.name}`))
    .map((relationship): CallerRule => ({ trustDomain: relationship.callerTrustDomain, principals: relationship.principals }));
  return [own, ...foreign];
}

/** What this cluster's gateways pass on, by SNI: the exported services, nothing else. Pure. */
export function buildGatewayRoutes(state: ClusterState): ReadonlyMap<string, GatewayRoute> {
  return new Map([...state.exports.keys()].flatMap((name) => [...buildGatewayRoutesOf(state, name)]));
}

/** Those of them that are of the service `name`. Pure, O(ports, instances). */
export function buildGatewayRoutesOf(state: ClusterState, name: string): ReadonlyMap<string, GatewayRoute> {
  const cluster = state.clusters.get(state.self.cluster);
  const service = state.services.get(name);
  if (!state.exports.has(name) || service === undefined || cluster?.spec.exportNamespaces.includes(namespaceOf(service)) !== true) return new Map();
  const host = serviceHost(refOf(state, service));
  const endpoints = endpointsOf(state, service).map((endpoint) => endpointView(state, endpoint));
  return new Map(
    service.spec.ports.map((port) => {
      const sni = serviceSni(host, port.port);
      return [sni, { sni, host, endpoints }];
    }),
  );
}
