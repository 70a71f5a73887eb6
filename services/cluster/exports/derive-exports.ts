import type { ServiceHost } from "#federation/model/names.ts";
import { resourceId, type Consumer, type ExportedService, type Service } from "#federation/model/resource.ts";
import { serviceHost, workloadId, type ServiceRef } from "#federation/model/service.ts";
import { readinessOf, type ClusterState, type EndpointState } from "../cluster-state.ts";

/** One service as this cluster offers it, and to whom. */
export interface DerivedExport {
  readonly value: Omit<ExportedService, "asOfMs">;
  readonly consumers: readonly Consumer[];
}

/** What this cluster exports now, by host. Pure. */
export function deriveExports(state: ClusterState): ReadonlyMap<ServiceHost, DerivedExport> {
  const derived = [...state.exports.keys()].flatMap((key) => deriveExport(state, key) ?? []);
  return new Map(derived.map((one) => [serviceHost(one.value), one]));
}

/**
 * What this cluster exports as `key`, `namespace/name`, now. An export without its Service, or outside the namespaces that the
 * cluster may export, offers nothing: nothing is visible until it is exported on purpose. Pure, O(instances of the service).
 */
export function deriveExport(state: ClusterState, key: string): DerivedExport | undefined {
  const cluster = state.clusters.get(state.self.cluster);
  const serviceExport = state.exports.get(key);
  const service = state.services.get(key);
  if (cluster === undefined || serviceExport === undefined || service === undefined || !cluster.spec.exportNamespaces.includes(namespaceOf(service))) return undefined;
  const endpoints = endpointsOf(state, service);
  const readiness = endpoints.map(readinessOf);
  const endpointsUnknown = readiness.filter((one) => one === "unknown").length;
  return {
    value: {
      ...refOf(state, service),
      cluster: state.self.cluster,
      region: state.self.region,
      ports: service.spec.ports,
      serverIdentities: identitiesOf(state, service),
      gateways: cluster.spec.gateways,
      endpointsReady: readiness.filter((one) => one === "ready").length,
      ...(endpointsUnknown === 0 ? {} : { endpointsUnknown }),
      endpointsTotal: endpoints.length,
    },
    consumers: serviceExport.spec.consumers ?? [{ trustDomain: state.self.trustDomain }],
  };
}

/** The service's name in the whole federation. */
export function refOf(state: ClusterState, service: Service): ServiceRef {
  return { namespace: namespaceOf(service), name: service.metadata.name, trustDomain: state.self.trustDomain };
}

/** The identities that may answer for a service of this cluster. */
export function identitiesOf(state: ClusterState, service: Service): ReturnType<typeof workloadId>[] {
  return service.spec.serviceAccounts.map((account) => workloadId(state.self.trustDomain, namespaceOf(service), account));
}

/** The registered instances that back a service, in order of their id. */
export function endpointsOf(state: ClusterState, service: Service): readonly EndpointState[] {
  return [...(state.endpointsOf.get(resourceId(service.metadata))?.values() ?? [])];
}

/** Services always live in a namespace; their parser refuses one without. */
export function namespaceOf(resource: Service): string {
  return resource.metadata.namespace ?? "";
}
