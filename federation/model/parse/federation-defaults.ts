import type { ClusterId, RegionId, TrustDomainName } from "../names.ts";
import { defaultAppPort, type ClusterDescription, type FederationDescription, type GatewayPlaces, type HostDescription, type Placement, type RegionDescription, type ServiceDescription, type ServiceInstance, type ServiceReference, type TcpUpstream } from "../federation-description.ts";
import type { FederationDocument, FederationDocumentService, FederationDocumentSpec } from "./federation-schema.ts";

export const defaultNamespace = "default";
const defaultServicePort = 80;
const defaultValidDays = 90;
const defaultRatePerSecond = 20;
/** Kilometres that a packet comes in a millisecond: light in glass makes 200, and cables are half as long again as the great circle. */
const kilometresPerMs = 133;
const earthRadiusKilometres = 6_371;
/** etcd and nats-server as everybody knows them (docs/ports.md). */
const enginePorts = { etcdPort: 2379, etcdPeerPort: 2380, natsPort: 4222, natsRoutePort: 6222, natsGatewayPort: 7222 } as const;

/** The trust domains of a file, those that only its clusters name among them; `<name>.mesh` where none is named. Pure. */
export function trustDomainsOf({ metadata, spec }: FederationDocument): readonly TrustDomainName[] {
  const named = [...(spec.trustDomains ?? []).map(({ name }) => name), ...(spec.clusters ?? []).flatMap(({ trustDomain }) => trustDomain ?? [])];
  return named.length === 0 ? [`${metadata.name}.mesh` as TrustDomainName] : [...new Set(named)];
}

/** The clusters of a file, one for each region where it names none. What is ambiguous is left out; checks report it. Pure. */
export function clustersOf(document: FederationDocument): readonly Omit<ClusterDescription, "exportNamespaces">[] {
  const { spec } = document;
  const trustDomains = trustDomainsOf(document);
  const onlyRegion = spec.regions.length === 1 ? spec.regions[0]?.name : undefined;
  const onlyTrustDomain = trustDomains.length === 1 ? trustDomains[0] : undefined;
  const written = spec.clusters ?? spec.regions.map(({ name }) => ({ name: name as string as ClusterId, region: name, trustDomain: undefined }));
  return written.flatMap(({ name, region = onlyRegion, trustDomain = onlyTrustDomain }) => (region === undefined || trustDomain === undefined ? [] : [{ name, region, trustDomain }]));
}

/** The region of a host: its own word, or the only one there is. Pure. */
export function regionOfHost(spec: FederationDocumentSpec, host: { readonly region?: RegionId }): RegionId | undefined {
  return host.region ?? (spec.regions.length === 1 ? spec.regions[0]?.name : undefined);
}

/** The host of each cluster's plane: named by the cluster, else the first one of its region. Pure. */
export function clusterHostsOf(document: FederationDocument): ReadonlyMap<ClusterId, string> {
  const { spec } = document;
  const hosts = spec.hosts ?? [];
  const found = clustersOf(document).flatMap((cluster) => {
    const host = spec.clusters?.find(({ name }) => name === cluster.name)?.host ?? hosts.find((one) => regionOfHost(spec, one) === cluster.region)?.name;
    return host === undefined ? [] : [[cluster.name, host] as const];
  });
  return new Map(found);
}

/** The hosts of each cluster's gateways, and what stands in front of them: its plane's host unless the cluster says otherwise. Pure. */
function clusterGatewaysOf({ spec }: FederationDocument, clusterHosts: ReadonlyMap<ClusterId, string>): ReadonlyMap<ClusterId, GatewayPlaces> {
  return new Map([...clusterHosts].map(([cluster, host]) => [cluster, { hosts: [host], ...spec.clusters?.find(({ name }) => name === cluster)?.gateways }]));
}

/** Where a service runs, by the three ways of saying so; without ports and names. Pure. */
export function serviceClusters(document: FederationDocument, service: FederationDocumentService): readonly { readonly cluster: ClusterId; readonly host?: string; readonly appPort?: number }[] {
  if (service.instances !== undefined) return service.instances;
  if (service.clusters !== undefined) return service.clusters.map((cluster) => ({ cluster }));
  const trustDomains = trustDomainsOf(document);
  const trustDomain = service.trustDomain ?? (trustDomains.length === 1 ? trustDomains[0] : undefined);
  return clustersOf(document).filter((cluster) => cluster.trustDomain === trustDomain).map(({ name }) => ({ cluster: name }));
}

/** The cluster in a region of users whose workload their edge can be: one of the trust domain of what they call. Pure. */
export function edgeCluster(document: FederationDocument, users: { readonly region: RegionId; readonly service: string }): ClusterId | undefined {
  const clusters = clustersOf(document);
  const [service] = servicesNamed(document, users.service);
  const trustDomain = service === undefined ? undefined : trustDomainOfService(document, service);
  return clusters.find((cluster) => cluster.region === users.region && cluster.trustDomain === trustDomain)?.name;
}

/** The name of an instance: cluster and service, and a number from the second one of a cluster on. Pure. */
export function instanceNames(service: string, instances: readonly { readonly cluster: string }[]): readonly string[] {
  const seen = new Map<string, number>();
  return instances.map(({ cluster }) => {
    const count = (seen.get(cluster) ?? 0) + 1;
    seen.set(cluster, count);
    return count === 1 ? `${cluster}-${service}` : `${cluster}-${service}-${count}`;
  });
}

/** Fills in what a checked document leaves out. Pure. */
export function describeFederation(document: FederationDocument): FederationDescription {
  const { metadata, spec } = document;
  const clusters = clustersOf(document);
  const services = (spec.services ?? []).map((service) => describeService(document, service));
  const described = clusters.map((cluster): ClusterDescription => {
    const written = spec.clusters?.find(({ name }) => name === cluster.name)?.exportNamespaces;
    const here = services.filter(({ isExported, instances }) => isExported && instances.some((instance) => instance.cluster === cluster.name));
    return { ...cluster, exportNamespaces: written ?? [...new Set(here.map(({ namespace }) => namespace))] };
  });
  const placement = placementOf(document, clusters);
  return {
    name: metadata.name,
    trustDomain: spec.trustDomain ?? (`${metadata.name}.atoll` as TrustDomainName),
    regions: spec.regions,
    distances: spec.distances ?? distancesOf(spec.regions),
    trustDomains: trustDomainsOf(document).map((name) => {
      const bundleEndpoint = spec.trustDomains?.find((written) => written.name === name)?.bundleEndpoint;
      return { name, signer: signerOf(spec, clusters, name), ...(bundleEndpoint === undefined ? {} : { bundleEndpoint }) };
    }),
    clusters: described,
    services,
    relationships: (spec.relationships ?? []).map((relationship) => ({ ...relationship, validDays: relationship.validDays ?? defaultValidDays })),
    policies: (spec.policies ?? []).map(({ namespace, ...policy }) => ({ namespace: namespace ?? defaultNamespace, ...policy })),
    users: (spec.users ?? []).flatMap((users) => {
      const cluster = edgeCluster(document, users);
      const [namespace = "", name = ""] = users.service.split("/");
      return cluster === undefined ? [] : [{ region: users.region, cluster, service: { namespace, name }, path: users.path ?? "/", ratePerSecond: users.ratePerSecond ?? defaultRatePerSecond }];
    }),
    clients: (spec.clients ?? []).map((client) => ({ ...client, role: client.role ?? "operator" })),
    ...(spec.backups === undefined ? {} : { backups: spec.backups }),
    ...(spec.engines === undefined ? {} : { engines: spec.engines.kind }),
    ...(placement === undefined ? {} : { placement }),
  };
}

function signerOf(spec: FederationDocumentSpec, clusters: readonly { readonly name: ClusterId; readonly trustDomain: TrustDomainName }[], trustDomain: TrustDomainName): ClusterId {
  const signer = spec.trustDomains?.find(({ name }) => name === trustDomain)?.signer ?? clusters.find((cluster) => cluster.trustDomain === trustDomain)?.name;
  if (signer === undefined) throw new Error(`${trustDomain} has no cluster: the document was not checked`);
  return signer;
}

function describeService(document: FederationDocument, service: FederationDocumentService): ServiceDescription {
  const written = serviceClusters(document, service);
  const names = instanceNames(service.name, written);
  const trustDomain = trustDomainOfService(document, service) ?? ("" as TrustDomainName);
  const appPort = service.appPort ?? (service.command === undefined ? defaultAppPort : undefined);
  const hosts = clusterHostsOf(document);
  const instances = written.map((instance, index): ServiceInstance => {
    const port = instance.appPort ?? appPort;
    const host = instance.host ?? hosts.get(instance.cluster);
    return { name: names[index] ?? "", cluster: instance.cluster, ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { appPort: port }) };
  });
  return {
    namespace: service.namespace ?? defaultNamespace,
    name: service.name,
    trustDomain,
    protocol: service.protocol ?? "http",
    port: service.port ?? defaultServicePort,
    instances,
    ...(service.command === undefined ? {} : { command: { words: service.command, directory: service.directory ?? ".", env: service.env ?? {} } }),
    ...(service.readiness === undefined ? {} : { readinessPath: service.readiness.path }),
    isExported: service.export ?? true,
    consumers: service.consumers ?? [],
    ...(service.upstreams === undefined ? {} : { upstreams: upstreamIds(service).map((id) => referenceTo(document, id, trustDomain)) }),
    tcpUpstreams: (service.tcpUpstreams ?? []).map((upstream) => describeTcpUpstream(document, upstream, trustDomain)),
    hasWorkloadApi: service.workloadApi ?? false,
  };
}

/** Everything that it calls, those that it calls by a port of its own among them. */
function upstreamIds({ upstreams = [], tcpUpstreams = [] }: FederationDocumentService): readonly string[] {
  return [...new Set([...upstreams, ...tcpUpstreams.map(({ service }) => service)])];
}

function describeTcpUpstream(document: FederationDocument, { service, localPort }: NonNullable<FederationDocumentService["tcpUpstreams"]>[number], own: TrustDomainName): TcpUpstream {
  const reference = referenceTo(document, service, own);
  const port = servicesNamed(document, service).find((candidate) => trustDomainOfService(document, candidate) === reference.trustDomain)?.port ?? defaultServicePort;
  return { service: reference, servicePort: port, ...(localPort === undefined ? {} : { localPort }) };
}

/** The service of that name, of one's own trust domain first. */
function referenceTo(document: FederationDocument, id: string, own: TrustDomainName): ServiceReference {
  const [namespace = "", name = ""] = id.split("/");
  const domains = servicesNamed(document, id).flatMap((service) => trustDomainOfService(document, service) ?? []);
  return { namespace, name, trustDomain: domains.includes(own) ? own : (domains[0] ?? own) };
}

/** The services of that namespace and name, one for each trust domain that has it. Pure. */
export function servicesNamed({ spec }: FederationDocument, id: string): readonly FederationDocumentService[] {
  return (spec.services ?? []).filter(({ namespace = defaultNamespace, name }) => `${namespace}/${name}` === id);
}

/** The trust domain of the first cluster that a service runs in. Pure. */
function trustDomainOfService(document: FederationDocument, service: FederationDocumentService): TrustDomainName | undefined {
  const [place] = serviceClusters(document, service);
  return clustersOf(document).find(({ name }) => name === place?.cluster)?.trustDomain;
}

function placementOf(document: FederationDocument, clusters: readonly { readonly name: ClusterId; readonly region: RegionId }[]): Placement | undefined {
  const { spec } = document;
  if (spec.hosts === undefined) return undefined;
  const hosts = spec.hosts.map((host): HostDescription => ({ name: host.name, address: host.address, listen: host.listen ?? host.address, region: regionOfHost(spec, host) ?? ("" as RegionId), portOffset: host.portOffset ?? 0, ...(host.join === undefined ? {} : { join: host.join }), root: host.root === "/" ? "" : (host.root ?? "") }));
  const clusterHosts = clusterHostsOf(document);
  const offsetOf = (name: string): number => hosts.find((host) => host.name === name)?.portOffset ?? 0;
  const regions = spec.regions.flatMap(({ name }) => {
    const first = clusters.find((cluster) => cluster.region === name);
    return first === undefined ? [] : [{ region: name, firstHost: clusterHosts.get(first.name) ?? "" }];
  });
  const engines = regions.flatMap(({ region, firstHost }) => {
    const { hosts: members = [firstHost], ...written } = spec.engines?.places?.find((place) => place.region === region) ?? { region };
    return members.map((host) => {
      const offset = offsetOf(host);
      const defaults = Object.fromEntries(Object.entries(enginePorts).map(([name, port]) => [name, port + offset])) as Record<keyof typeof enginePorts, number>;
      return { ...defaults, ...written, region, host };
    });
  });
  const [firstCluster] = clusters;
  return { hosts, globalHost: spec.global?.host ?? (firstCluster === undefined ? "" : (clusterHosts.get(firstCluster.name) ?? "")), clusterHosts, clusterGateways: clusterGatewaysOf(document, clusterHosts), joinSources: spec.attestation?.sources ?? {}, engines };
}

/** One-way delays between regions that say where they lie. Pure. */
function distancesOf(regions: readonly RegionDescription[]): FederationDescription["distances"] {
  return regions.flatMap((from, index) =>
    regions.slice(index + 1).flatMap((to) => {
      if (from.coordinates === undefined || to.coordinates === undefined) return [];
      return [{ between: [from.name, to.name] as const, oneWayMs: Math.max(1, Math.round(greatCircleKilometres(from.coordinates, to.coordinates) / kilometresPerMs)) }];
    }),
  );
}

type Coordinates = NonNullable<RegionDescription["coordinates"]>;

/** By the haversine formula. */
function greatCircleKilometres(a: Coordinates, b: Coordinates): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const half = (degrees: number): number => Math.sin(radians(degrees) / 2) ** 2;
  const h = half(b.latitude - a.latitude) + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * half(b.longitude - a.longitude);
  return 2 * earthRadiusKilometres * Math.asin(Math.min(1, Math.sqrt(h)));
}
