import type { ClusterId, RegionId, TrustDomainName } from "./names.ts";
import type { TrafficPolicyResourceSpec, RegionSpec } from "./resource.ts";
import type { PortProtocol } from "./service.ts";

/** A whole federation as its file describes it, with everything that the file leaves out filled in. */
export interface FederationDescription {
  readonly name: string;
  /** The federation's own trust domain, of planes and engines. */
  readonly trustDomain: TrustDomainName;
  readonly regions: readonly RegionDescription[];
  /** Delay of one direction; pairs without one have none that anybody knows of. */
  readonly distances: readonly { readonly between: readonly [RegionId, RegionId]; readonly oneWayMs: number }[];
  readonly trustDomains: readonly TrustDomainDescription[];
  readonly clusters: readonly ClusterDescription[];
  readonly services: readonly ServiceDescription[];
  readonly relationships: readonly RelationshipDescription[];
  readonly policies: readonly { readonly namespace: string; readonly name: string; readonly spec: TrafficPolicyResourceSpec }[];
  readonly users: readonly UsersDescription[];
  readonly clients: readonly ClientDescription[];
  /** Absent: planes make no backups by themselves. */
  readonly backups?: BackupsDescription;
  /** Absent: embedded on one machine, etcd and NATS on many. */
  readonly engines?: EngineKind;
  /** Where things stand; absent when the file names no hosts. */
  readonly placement?: Placement;
}

export interface TrustDomainDescription {
  readonly name: TrustDomainName;
  readonly signer: ClusterId;
  /** Absent: none of its planes serves its bundle. */
  readonly bundleEndpoint?: BundleEndpointDescription;
}

/** By which profile every plane of a trust domain serves its bundle; files are on each plane's host. */
export type BundleEndpointDescription = { readonly profile: "https_spiffe" } | { readonly profile: "https_web"; readonly certificateFile: string; readonly keyFile: string };

export type EngineKind = "embedded" | "etcd-nats";

export interface RegionDescription extends RegionSpec {
  readonly name: RegionId;
}

export interface ClusterDescription {
  readonly name: ClusterId;
  readonly region: RegionId;
  readonly trustDomain: TrustDomainName;
  readonly exportNamespaces: readonly string[];
}

export interface ServiceDescription {
  readonly namespace: string;
  readonly name: string;
  readonly trustDomain: TrustDomainName;
  readonly protocol: PortProtocol;
  readonly port: number;
  readonly instances: readonly ServiceInstance[];
  /** How the application is started on this machine; absent: it runs by itself. */
  readonly command?: ApplicationCommand;
  readonly readinessPath?: string;
  readonly isExported: boolean;
  /** Trust domains that may see it besides its own. */
  readonly consumers: readonly TrustDomainName[];
  /** Services that it calls; absent: every one that it may see. */
  readonly upstreams?: readonly ServiceReference[];
  readonly tcpUpstreams: readonly TcpUpstream[];
  /** Its sidecars hand it its identity by the SPIFFE Workload API. */
  readonly hasWorkloadApi: boolean;
}

export interface ServiceReference {
  readonly namespace: string;
  readonly name: string;
  readonly trustDomain: TrustDomainName;
}

/** A TCP service that an application calls by a port of its own sidecar's. */
export interface TcpUpstream {
  readonly service: ServiceReference;
  readonly servicePort: number;
  /** On 127.0.0.1, as the file has it; absent: that of the service, or any on one machine. */
  readonly localPort?: number;
}

/** Where an application listens unless its file says otherwise. */
export const defaultAppPort = 8080;

/** One instance with its sidecar. */
export interface ServiceInstance {
  /** The sidecar's name is this and "-proxy"; unique in the federation. */
  readonly name: string;
  readonly cluster: ClusterId;
  readonly host?: string;
  /** Absent where a command is started: any free one on this machine, of which it is told, and `defaultAppPort` on others. */
  readonly appPort?: number;
}

export interface ApplicationCommand {
  readonly words: readonly string[];
  /** Relative to the file. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface RelationshipDescription {
  readonly name: string;
  readonly caller: { readonly trustDomain: TrustDomainName; readonly principals: readonly string[] };
  readonly callee: { readonly trustDomain: TrustDomainName; readonly services: readonly string[] };
  readonly validDays: number;
}

/** Callers of one region that are played on one machine. */
export interface UsersDescription {
  readonly region: RegionId;
  /** Whose workload their edge is. */
  readonly cluster: ClusterId;
  readonly service: { readonly namespace: string; readonly name: string };
  readonly path: string;
  readonly ratePerSecond: number;
}

/** Somebody whom the planes let in by a certificate of its own; the lists bound an operator, and an absent one means all of them. */
export interface ClientDescription {
  readonly name: string;
  readonly role: "viewer" | "operator" | "administrator";
  readonly trustDomains?: readonly TrustDomainName[];
  readonly namespaces?: readonly string[];
}

/** How every plane backs its store up, as its configuration says it. */
export interface BackupsDescription {
  readonly recipients: readonly string[];
  readonly everySeconds?: number;
  readonly keep?: number;
}

/** Which machine carries what. */
export interface Placement {
  readonly hosts: readonly HostDescription[];
  readonly globalHost: string;
  /** The host of each cluster's plane. */
  readonly clusterHosts: ReadonlyMap<ClusterId, string>;
  readonly clusterGateways: ReadonlyMap<ClusterId, GatewayPlaces>;
  /** Whose documents planes believe, by name. */
  readonly joinSources: Readonly<Record<string, JoinSourceDescription>>;
  /** An etcd and a nats-server in every region that has a cluster, or several of each on as many hosts of it. */
  readonly engines: readonly EnginePlace[];
}

/** Where a cluster's gateways stand: one on each of these hosts. */
export interface GatewayPlaces {
  readonly hosts: readonly string[];
  /** Of a load balancer in front of all of them; absent: each is dialled by its host's address. */
  readonly address?: string;
}

/** A cloud that signs documents for its machines, as planes are configured to believe it. */
export type JoinSourceDescription =
  | { readonly kind: "aws"; readonly certificatesFile: string; readonly firstUseSeconds?: number }
  | { readonly kind: "google"; readonly audience: string; readonly keysFile: string; readonly maxAgeSeconds?: number }
  | { readonly kind: "azure"; readonly certificatesFile: string; readonly signerName?: string };

export interface HostDescription {
  readonly name: string;
  /** What others dial: a literal address or a DNS name. */
  readonly address: string;
  /** The literal address that its programs listen on. */
  readonly listen: string;
  readonly region: RegionId;
  readonly portOffset: number;
  /** By which document what stands here joins; absent: by tokens. */
  readonly join?: { readonly source: string; readonly facts: Readonly<Record<string, string>> };
  /** "" for the file system's own root. */
  readonly root: string;
}

/** One etcd and one nats-server on one host; those of a region are members of one etcd, and servers of one NATS cluster. */
export interface EnginePlace {
  readonly region: RegionId;
  readonly host: string;
  readonly etcdPort: number;
  readonly etcdPeerPort: number;
  readonly natsPort: number;
  /** Between nats-servers of one region. */
  readonly natsRoutePort: number;
  /** Between regions. */
  readonly natsGatewayPort: number;
}
