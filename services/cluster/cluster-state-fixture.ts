import type { EndpointRecord } from "#federation/model/endpoint.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, importMetadata, resourceId, type Cluster, type Service, type ServiceExport, type ServiceImport, type ServiceImportSpec, type TrafficPolicy } from "#federation/model/resource.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { ClusterState, EndpointState } from "./cluster-state.ts";
import { policiesByTarget } from "./policies-by-target.ts";
import { ServiceInstances } from "./registry/instances-by-service.ts";

/** A state's parts as tests write them down. */
interface StateParts extends Partial<Omit<ClusterState, "endpoints" | "endpointsOf" | "imports" | "policies">> {
  readonly endpoints?: readonly EndpointState[];
  readonly imports?: readonly ServiceImport[];
  readonly policies?: readonly TrafficPolicy[];
}

/** A small cluster for tests: shop-eu in eu-west with web/storefront, and whatever a test adds. */
export function clusterState(over: StateParts = {}): ClusterState {
  const { endpoints = [endpoint("storefront-0", "web", "storefront")], imports = [], policies = [], ...rest } = over;
  const instances = OrderedMap.of(endpoints.map((one) => [one.record.instanceId, one]));
  return {
    self: { federation: "demo.atoll", cluster: "shop-eu" as ClusterId, region: "eu-west" as RegionId, trustDomain: "shop.example" as TrustDomainName },
    services: new Map([["web/storefront", service("web", "storefront")]]),
    exports: new Map(),
    endpoints: instances,
    endpointsOf: new ServiceInstances().next(instances),
    imports: OrderedMap.of(imports.map((imported) => [resourceId(importMetadata(imported.spec)), imported])),
    policies: policiesByTarget(policies, "shop.example" as TrustDomainName),
    clusters: new Map([["shop-eu", clusterResource()]]),
    bundles: new Map(),
    relationships: [],
    generations: new Map(),
    ...rest,
  };
}

export function service(namespace: string, name: string): Service {
  return {
    apiVersion,
    kind: "Service",
    metadata: { namespace, name },
    spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] },
  };
}

export function serviceExport(namespace: string, name: string, spec: ServiceExport["spec"] = {}): ServiceExport {
  return { apiVersion, kind: "ServiceExport", metadata: { namespace, name }, spec };
}

export function endpoint(instanceId: string, namespace: string, name: string, over: Partial<EndpointRecord> & { readonly attached?: boolean; readonly isMissed?: boolean } = {}): EndpointState {
  const { attached = true, isMissed = false, ...rest } = over;
  return {
    attached,
    isMissed,
    record: {
      instanceId,
      identity: `spiffe://shop.example/ns/${namespace}/sa/${name}` as SpiffeId,
      ports: [{ namespace, service: name, port: 80 }],
      address: "127.0.0.1",
      inboundPort: 15_006,
      weight: 1,
      ready: true,
      registeredAtMs: 0,
      ...rest,
    },
  };
}

export function clusterResource(): Cluster {
  return {
    apiVersion,
    kind: "Cluster",
    metadata: { name: "shop-eu" },
    spec: {
      region: "eu-west" as RegionId,
      trustDomain: "shop.example" as TrustDomainName,
      exportNamespaces: ["web"],
      gateways: [{ address: "127.0.0.1", port: 15_443 }],
    },
  };
}

export function serviceImport(over: Partial<ServiceImportSpec>): ServiceImport {
  const spec: ServiceImportSpec = {
    namespace: "web",
    name: "storefront",
    trustDomain: "shop.example" as TrustDomainName,
    cluster: "shop-us" as ClusterId,
    region: "us-east" as RegionId,
    ports: [{ name: "http", port: 80, protocol: "http" }],
    serverIdentities: ["spiffe://shop.example/ns/web/sa/storefront" as SpiffeId],
    gateways: [{ address: "10.0.0.2", port: 15_443 }],
    endpointsReady: 1,
    endpointsTotal: 1,
    asOfMs: 5,
    origin: { epoch: 1, revision: 7 },
    appliedAtMs: 6,
    ...over,
  };
  return { apiVersion, kind: "ServiceImport", metadata: importMetadata(spec), spec };
}
