import type { EndpointRecord } from "#federation/model/endpoint.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Service, type ServiceExport } from "#federation/model/resource.ts";

export const benchFederation = "bench.atoll";
export const benchTrustDomain = "shop.example" as TrustDomainName;
export const benchRegion = "eu-west" as RegionId;

/** The name of the mesh's cluster number `index`; 0 exports, 1 is the one that is watched. */
export function benchCluster(index: number): ClusterId {
  return `shop-${index}` as ClusterId;
}

export function clusterResource(index: number): Cluster {
  return {
    apiVersion,
    kind: "Cluster",
    metadata: { name: benchCluster(index) },
    spec: { region: benchRegion, trustDomain: benchTrustDomain, exportNamespaces: ["web"], gateways: [{ address: "127.0.0.1", port: 15_443 }] },
  };
}

export function serviceName(index: number): string {
  return `service-${index}`;
}

/** A service in the namespace `web`; another `port` is another form of it. */
export function serviceResource(index: number, port: number): Service {
  return { apiVersion, kind: "Service", metadata: { namespace: "web", name: serviceName(index) }, spec: { ports: [{ name: "http", port, protocol: "http" }], serviceAccounts: [serviceName(index)] } };
}

export function exportResource(index: number): ServiceExport {
  return { apiVersion, kind: "ServiceExport", metadata: { namespace: "web", name: serviceName(index) }, spec: {} };
}

/** The one instance of a service. */
export function instanceRecord(index: number): EndpointRecord {
  return {
    instanceId: `${serviceName(index)}-0`,
    identity: `spiffe://${benchTrustDomain}/ns/web/sa/${serviceName(index)}` as SpiffeId,
    ports: [{ namespace: "web", service: serviceName(index), port: 80 }],
    address: "127.0.0.1",
    inboundPort: 15_006,
    weight: 1,
    ready: true,
    registeredAtMs: 0,
  };
}
