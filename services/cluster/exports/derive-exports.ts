import type { ServiceHost } from "#federation/model/names.ts";
import { resourceId, type Consumer, type ExportedService, type Service } from "#federation/model/resource.ts";
import { serviceHost, workloadId, type ServiceRef } from "#federation/model/service.ts";
import { countsAsReady, type ClusterState, type EndpointState } from "../cluster-state.ts";

/** One service as this cluster offers it, and to whom. */
export interface DerivedExport {
  readonly value: Omit<ExportedService, "asOfMs">;
  readonly consumers: readonly Consumer[];
}

/**
 * What this cluster exports now, by host. An export without its Service, or outside the namespaces that the
 * cluster may export, offers nothing: nothing is visible until it is exported on purpose. Pure.
 */
export function deriveExports(state: ClusterState): ReadonlyMap<ServiceHost, DerivedExport> {
  const cluster = state.clusters.get(state.self.cluster);
  const derived = new Map<ServiceHost, DerivedExport>();
  if (cluster === undefined) return derived;
  for (const serviceExport of state.exports.values()) {
    const service = state.services.get(resourceId(serviceExport.metadata));
    if (service === undefined || !cluster.spec.exportNamespaces.includes(namespaceOf(service))) continue;
    const ref = refOf(state, service);
    const endpoints = endpointsOf(state, service);
    derived.set(serviceHost(ref), {
      value: {
        ...ref,
        cluster: state.self.cluster,
        region: state.self.region,
        ports: service.spec.ports,
        serverIdentities: identitiesOf(state, service),
        gateways: cluster.spec.gateways,
        endpointsReady: endpoints.filter(countsAsReady).length,
        endpointsTotal: endpoints.length,
      },
      consumers: serviceExport.spec.consumers ?? [{ trustDomain: state.self.trustDomain }],
    });
  }
  return derived;
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
  const namespace = namespaceOf(service);
  return state.endpoints
    .filter(({ record }) => record.ports.some((port) => port.namespace === namespace && port.service === service.metadata.name))
    .toSorted((a, b) => (a.record.instanceId < b.record.instanceId ? -1 : 1));
}

/** Services always live in a namespace; their parser refuses one without. */
export function namespaceOf(resource: Service): string {
  return resource.metadata.namespace ?? "";
}
