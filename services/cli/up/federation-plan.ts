import type { BackupsDescription, BundleEndpointDescription } from "#federation/model/federation-description.ts";
import type { TrafficPolicyResourceSpec } from "#federation/model/resource.ts";
import type { PortProtocol } from "#federation/model/service.ts";

/** A federation on one machine, as data: what `atoll up` starts. The demonstration is one, and so is what a user's file describes. */
export interface FederationPlan {
  /** The federation's own trust domain. */
  readonly federation: string;
  readonly regions: readonly RegionPlan[];
  readonly clusters: readonly ClusterPlan[];
  /** Delay of one direction between two regions; a pair without one has a direct way. */
  readonly distances: readonly { readonly between: readonly [string, string]; readonly oneWayMs: number }[];
  readonly workloads: readonly WorkloadPlan[];
  readonly users: readonly UsersPlan[];
  readonly relationships: readonly RelationshipPlan[];
  readonly policies: readonly PolicyPlan[];
  /** Absent: nobody but the administrator. */
  readonly clients?: readonly ClientPlan[];
  /** Absent: planes make no backups by themselves. */
  readonly backups?: BackupsDescription;
}

export interface RegionPlan {
  readonly name: string;
  readonly displayName?: string;
  readonly coordinates?: { readonly latitude: number; readonly longitude: number };
  readonly residency?: readonly string[];
}

export interface ClusterPlan {
  readonly name: string;
  readonly region: string;
  readonly trustDomain: string;
  /** Holds the trust domain's root and authority; exactly one per trust domain. */
  readonly isSigner: boolean;
  readonly exportNamespaces: readonly string[];
  /** Life of what its plane issues to workloads; the plane's own default unless told. */
  readonly svidSeconds?: number;
  /** By which profile its plane serves its trust domain's bundle; absent: it does not. */
  readonly bundleEndpoint?: BundleEndpointDescription;
}

/** A service, each instance of it behind a sidecar of its own. */
export interface WorkloadPlan {
  readonly namespace: string;
  readonly service: string;
  readonly trustDomain: string;
  /** Absent: http. */
  readonly protocol?: PortProtocol;
  readonly port: number;
  /** Absent: one in every cluster of its trust domain. */
  readonly instances?: readonly InstancePlan[];
  readonly app: AppPlan;
  /** Absent: the application is ready when its port accepts. */
  readonly readinessPath?: string;
  readonly isExported: boolean;
  /** Who may import it besides its own trust domain. */
  readonly consumers: readonly string[];
  /** What it calls, as a proxy's configuration names it; absent: all that it may see. */
  readonly upstreams?: readonly string[];
  /** What it calls by a port of its sidecar's own. */
  readonly tcpUpstreams?: readonly TcpUpstreamPlan[];
  /** Its sidecars hand it its identity by the SPIFFE Workload API. Absent: they do not. */
  readonly hasWorkloadApi?: true;
}

export interface TcpUpstreamPlan {
  readonly namespace: string;
  readonly service: string;
  readonly trustDomain: string;
  readonly port: number;
  /** On 127.0.0.1; absent: one that is chosen for each instance. */
  readonly localPort?: number;
}

export interface InstancePlan {
  /** Its sidecar is called so with "-proxy" behind it. */
  readonly name: string;
  readonly cluster: string;
  /** Where the application listens; absent: a port that is chosen for it. */
  readonly appPort?: number;
}

/** The application behind a service's sidecars: one of the demonstration's, a program that `up` starts, or one that runs by itself. */
export type AppPlan =
  | { readonly kind: "demo"; readonly role: "storefront" | "catalog" | "payments"; readonly workMs: number }
  | { readonly kind: "command"; readonly words: readonly string[]; readonly directory: string; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: "own" };

/** Callers in one region with an edge sidecar of their own, which outlives the region. */
export interface UsersPlan {
  readonly region: string;
  /** Whose workload the edge sidecar is. */
  readonly cluster: string;
  readonly ratePerSecond: number;
  /** What they call; absent: the demonstration's storefront. */
  readonly target?: { readonly namespace: string; readonly host: string; readonly path: string };
}

export interface RelationshipPlan {
  readonly name: string;
  readonly caller: { readonly trustDomain: string; readonly principals: readonly string[] };
  readonly callee: { readonly trustDomain: string; readonly services: readonly string[] };
  readonly validDays: number;
}

/** Somebody whom the planes let in by a certificate of its own. */
export interface ClientPlan {
  readonly name: string;
  readonly role: "viewer" | "operator" | "administrator";
  readonly trustDomains?: readonly string[];
  readonly namespaces?: readonly string[];
}

export interface PolicyPlan {
  readonly namespace: string;
  readonly name: string;
  readonly spec: TrafficPolicyResourceSpec;
}

/** The instances of a service: those that are named, else one in every cluster of its trust domain. Pure. */
export function instancesOf(plan: FederationPlan, workload: WorkloadPlan): readonly InstancePlan[] {
  if (workload.instances !== undefined) return workload.instances;
  return plan.clusters.filter(({ trustDomain }) => trustDomain === workload.trustDomain).map(({ name }) => ({ name: `${name}-${workload.service}`, cluster: name }));
}

/** The delay of one direction between two regions; 0 within one, undefined where there is none to be played. Pure. */
export function oneWayMs(plan: FederationPlan, from: string, to: string): number | undefined {
  if (from === to) return 0;
  return plan.distances.find(({ between }) => between.includes(from) && between.includes(to))?.oneWayMs;
}

/** The trust domains of a plan's clusters, each once. Pure. */
export function trustDomainsOf(plan: FederationPlan): readonly string[] {
  return [...new Set(plan.clusters.map(({ trustDomain }) => trustDomain))];
}
