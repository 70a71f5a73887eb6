import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "./names.ts";
import type { ServicePort } from "./service.ts";
import type { PartialTrafficPolicy } from "./traffic-policy.ts";

/** The one version of the resource format that this program writes. */
export const apiVersion = "atoll.dev/v1alpha1";

/** What every resource carries. What the server fills is ignored in what a client sends. */
export interface Metadata {
  /** RFC 1123 label; for a TrustDomain and a FederatedTrustDomain the trust domain's name, for a ServiceImport `<service>.<origin cluster>`. */
  readonly name: string;
  /** Present for the kinds that live in a namespace, and for those only. */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Filled by the server: counts the changes of `spec`, from 1. */
  readonly generation?: number;
  /** Filled by the server: the store's revision of the last write, also the ETag. */
  readonly revision?: number;
  /** Filled by the server: RFC 3339. */
  readonly createdAt?: string;
}

/** One statement about a resource, in Kubernetes' form. */
export interface Condition {
  /** PascalCase, e.g. `Ready`, `Accepted`, `Approved`. */
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  /** PascalCase, one word for programs. */
  readonly reason: string;
  /** One sentence for people. */
  readonly message: string;
  /** The `metadata.generation` that this speaks of. */
  readonly observedGeneration: number;
  /** RFC 3339; when `status` last changed. */
  readonly lastTransitionTime: string;
}

export interface Status {
  readonly conditions?: readonly Condition[];
}

/** The common shape of every kind. */
export interface ResourceOf<Kind extends string, Spec, ItsStatus extends Status = Status> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly spec: Spec;
  readonly status?: ItsStatus;
}

/** Where a region lies, and which residency labels data in it carries. */
export interface RegionSpec {
  readonly displayName?: string;
  /** Degrees; for maps, never for routing, which measures. */
  readonly coordinates?: { readonly latitude: number; readonly longitude: number };
  readonly residency?: readonly string[];
}

/** One address of a cluster's gateways. */
export interface GatewayListing {
  /** A literal IP address or a DNS name, which callers resolve. */
  readonly address: string;
  readonly port: number;
  /** The address is meant for callers in these regions; absent: for callers in regions that no other listing names. */
  readonly regions?: readonly RegionId[];
}

export interface PlaneAddress {
  readonly host: string;
  readonly discoveryPort: number;
  readonly joinPort: number;
}

export interface ClusterSpec {
  readonly region: RegionId;
  readonly trustDomain: TrustDomainName;
  /** Namespaces whose services this cluster may export. */
  readonly exportNamespaces: readonly string[];
  readonly planeAddress?: PlaneAddress;
  readonly gateways: readonly GatewayListing[];
}

/** Everything in it is given by the trust domain's own authority; the global plane only stores it. */
export interface TrustDomainSpec {
  /** The authority's self-signed certificate; relationships pin the SHA-256 of its SPKI. */
  readonly authorityCertificatePem: string;
  /** The SPIFFE bundle document (JWKS) as the exact text that the authority signed. */
  readonly bundle: string;
  /** base64url of the authority's ECDSA P-256 SHA-256 signature (IEEE P1363) over `trustDomainSigningInput`. */
  readonly bundleSignature: string;
}

/** The terms that are proposed: they hold once both sides have approved them, and bound at once what was agreed before (`relationship-terms.ts`). */
export interface RelationshipSpec {
  readonly caller: {
    readonly trustDomain: TrustDomainName;
    /** SHA-256 of the SPKI of the caller's authority, lower-case hex. */
    readonly authoritySha256: string;
    /** `ns/<namespace>/sa/<name>`, or `*` for every workload of the caller's trust domain. */
    readonly principals: readonly string[];
  };
  readonly callee: {
    readonly trustDomain: TrustDomainName;
    readonly authoritySha256: string;
    /** `<namespace>/<name>`. */
    readonly services: readonly string[];
  };
  /** RFC 3339 with a time zone; from then on nobody of the caller is accepted by it. */
  readonly validUntil: string;
}

export type RelationshipSide = "caller" | "callee";

/** One side's consent to exactly one set of terms: the signature is void for any other. */
export interface RelationshipApproval {
  readonly side: RelationshipSide;
  /** base64url of that side's authority's signature (as in `TrustDomainSpec`) over `relationshipSigningInput`. */
  readonly signature: string;
  /** RFC 3339. */
  readonly approvedAt: string;
}

/** What a side's signer says once it has taken its approval back; until it approves anew. */
export interface RelationshipWithdrawal {
  readonly side: RelationshipSide;
  /** RFC 3339; later than the approval that it ends. */
  readonly withdrawnAt: string;
}

/** An approval as it is recorded beside a spec that may have moved on since. */
export interface RecordedApproval extends RelationshipApproval {
  /** What was approved, where that is not the present spec; "agreed": the terms of `RelationshipStatus.agreed`, which are not repeated. */
  readonly terms?: RelationshipSpec | "agreed";
}

/** Terms that both sides have approved exactly, with both signatures, so that every receiver verifies them by itself. */
export interface AgreedTerms {
  readonly terms: RelationshipSpec;
  readonly approvals: readonly RelationshipApproval[];
}

export interface RelationshipStatus extends Status {
  /** What each side has approved last. */
  readonly approvals?: readonly RecordedApproval[];
  /** What both had agreed on last, while the spec proposes something else; absent where `approvals` say it themselves. */
  readonly agreed?: AgreedTerms;
  /** Filled where a plane shows it, never stored: what holds now, and since when (RFC 3339). */
  readonly inForce?: { readonly terms: RelationshipSpec; readonly since: string };
}

/** Where the bundle of a trust domain outside of this federation is fetched, and by what its endpoint proves itself. */
export interface BundleEndpointSpec {
  /** Of one and the same endpoint or of several that say the same; tried in turn. */
  readonly urls: readonly string[];
  /** By SPIFFE Federation, section 5.2. */
  readonly profile: "https_web" | "https_spiffe";
  /** With `https_web`: the roots by which its certificate is verified, PEM. Absent: those of the web. */
  readonly webRootsPem?: string;
  /** With `https_spiffe`: exactly this identity answers; in the trust domain itself. */
  readonly spiffeId?: SpiffeId;
}

/** A trust domain outside of this federation whose identities the workloads of one cluster can verify. The resource's name is the trust domain's. */
export interface FederatedTrustDomainSpec {
  readonly bundleEndpoint: BundleEndpointSpec;
  /** A SPIFFE bundle document (JWKS) from the domain's own people: what is believed before the first fetch, and from then on where its sequence is higher. */
  readonly trustDomainBundle?: string;
}

export interface FederatedTrustDomainStatus extends Status {
  /** What the endpoint said last and was taken, and since when (RFC 3339). */
  readonly fetched?: { readonly bundle: string; readonly acceptedAt: string };
}

export interface ServiceSpec {
  readonly ports: readonly ServicePort[];
  /** Workloads may back the service when they run as one of these, in the service's namespace. */
  readonly serviceAccounts: readonly string[];
}

export type Consumer = { readonly trustDomain: TrustDomainName } | { readonly cluster: ClusterId };

/** Name and namespace are those of the exported Service. */
export interface ServiceExportSpec {
  /** Who may see the service, completely: one's own trust domain must be in the list. Absent: one's own trust domain. */
  readonly consumers?: readonly Consumer[];
}

/** What a cluster tells its consumers of one service: the value of the object that it signs. */
export interface ExportedService {
  readonly namespace: string;
  readonly name: string;
  readonly trustDomain: TrustDomainName;
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly ports: readonly ServicePort[];
  /** Exactly these identities may answer for it. */
  readonly serverIdentities: readonly SpiffeId[];
  readonly gateways: readonly GatewayListing[];
  /** Instances that are heard and say that they are ready. */
  readonly endpointsReady: number;
  /** Instances that said so and are not heard any more. Absent: none, or of a version that counts them among the ready ones. */
  readonly endpointsUnknown?: number;
  readonly endpointsTotal: number;
  /** Wall-clock ms at which the origin said so: it says it anew when something changes, and not before. */
  readonly asOfMs: number;
}

/** Derived: one service of one origin cluster, as learned by this one. Never written by a user. */
export interface ServiceImportSpec extends ExportedService {
  /** Position of the statement in its origin's store. */
  readonly origin: { readonly epoch: number; readonly revision: number };
  /** Wall-clock ms at which this cluster applied it. */
  readonly appliedAtMs: number;
}

/** Absent trust domain: the one of the cluster that applies the policy. */
export interface ServiceTarget {
  readonly namespace: string;
  readonly name: string;
  readonly trustDomain?: TrustDomainName;
}

/** As written by the user; `fillTrafficPolicy` gives the complete one. */
export interface TrafficPolicyResourceSpec extends PartialTrafficPolicy {
  readonly targetRef: ServiceTarget;
}

export type Region = ResourceOf<"Region", RegionSpec>;
export type Cluster = ResourceOf<"Cluster", ClusterSpec>;
export type TrustDomain = ResourceOf<"TrustDomain", TrustDomainSpec>;
export type Relationship = ResourceOf<"Relationship", RelationshipSpec, RelationshipStatus>;
export type TrafficPolicy = ResourceOf<"TrafficPolicy", TrafficPolicyResourceSpec>;
export type FederatedTrustDomain = ResourceOf<"FederatedTrustDomain", FederatedTrustDomainSpec, FederatedTrustDomainStatus>;
export type Service = ResourceOf<"Service", ServiceSpec>;
export type ServiceExport = ResourceOf<"ServiceExport", ServiceExportSpec>;
export type ServiceImport = ResourceOf<"ServiceImport", ServiceImportSpec>;

/** Every kind by its name. */
export interface ResourceKinds {
  readonly Region: Region;
  readonly Cluster: Cluster;
  readonly TrustDomain: TrustDomain;
  readonly Relationship: Relationship;
  readonly TrafficPolicy: TrafficPolicy;
  readonly FederatedTrustDomain: FederatedTrustDomain;
  readonly Service: Service;
  readonly ServiceExport: ServiceExport;
  readonly ServiceImport: ServiceImport;
}
export type Kind = keyof ResourceKinds;
export type Resource = ResourceKinds[Kind];
/** The status of a kind. */
export type StatusOf<K extends Kind> = NonNullable<ResourceKinds[K]["status"]>;

/** Facts of a kind that every part treating kinds alike reads. */
export interface KindInfo {
  /** Lower case, as in paths of the API and on the command line. */
  readonly plural: string;
  readonly shortName: string;
  readonly namespaced: boolean;
  /** The only writer of spec. `derived`: nobody. */
  readonly owner: "global" | "cluster" | "derived";
}

export const kindInfos: Readonly<Record<Kind, KindInfo>> = {
  Region: { plural: "regions", shortName: "rg", namespaced: false, owner: "global" },
  Cluster: { plural: "clusters", shortName: "cl", namespaced: false, owner: "global" },
  TrustDomain: { plural: "trustdomains", shortName: "td", namespaced: false, owner: "global" },
  Relationship: { plural: "relationships", shortName: "rel", namespaced: false, owner: "global" },
  TrafficPolicy: { plural: "trafficpolicies", shortName: "tp", namespaced: true, owner: "global" },
  FederatedTrustDomain: { plural: "federatedtrustdomains", shortName: "ftd", namespaced: false, owner: "cluster" },
  Service: { plural: "services", shortName: "svc", namespaced: true, owner: "cluster" },
  ServiceExport: { plural: "serviceexports", shortName: "se", namespaced: true, owner: "cluster" },
  ServiceImport: { plural: "serviceimports", shortName: "si", namespaced: true, owner: "derived" },
};

/** Every kind, in the order in which a set of resources is applied: what others refer to comes first. */
export const kinds = Object.keys(kindInfos) as readonly Kind[];

/** True for the name of a kind, in its exact spelling. */
export function isKind(text: string): text is Kind {
  return Object.hasOwn(kindInfos, text);
}

/** Kinds that say who is believed, or who may do what: no former form of one is put back. */
const kindsOfTrust = ["TrustDomain", "Relationship", "FederatedTrustDomain"] as const satisfies readonly Kind[];
export type KindOfTrust = (typeof kindsOfTrust)[number];

export function isKindOfTrust(kind: Kind): kind is KindOfTrust {
  return (kindsOfTrust as readonly Kind[]).includes(kind);
}

/** True for a kind whose resources have the name of a trust domain each. */
export function isNamedByTrustDomain(kind: Kind): boolean {
  return kind === "TrustDomain" || kind === "FederatedTrustDomain";
}

/** The identity of a resource within its kind: `namespace/name`, or `name`. Also its place in the store and in paths. */
export function resourceId(metadata: Pick<Metadata, "name" | "namespace">): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** Identifies a resource among those of all kinds: `Kind/id`. */
export function resourceKey(kind: Kind, id: string): string {
  return `${kind}/${id}`;
}

/** The metadata of the import of a service from its origin: no two origins ever share one. */
export function importMetadata(service: Pick<ExportedService, "namespace" | "name" | "cluster">): Metadata {
  // A text that is joined is one object; one that is added up is a chain of its parts until somebody reads it.
  return { name: [service.name, service.cluster].join("."), namespace: service.namespace };
}

/** `conditions` with `next` in place of the one of its type; the transition time moves only when the status does. */
export function withCondition(conditions: readonly Condition[], next: Omit<Condition, "lastTransitionTime">, nowMs: number): readonly Condition[] {
  const previous = conditions.find((condition) => condition.type === next.type);
  const lastTransitionTime = previous?.status === next.status ? previous.lastTransitionTime : new Date(nowMs).toISOString();
  const rest = conditions.filter((condition) => condition.type !== next.type);
  return [...rest, { ...next, lastTransitionTime }].sort((a, b) => (a.type < b.type ? -1 : 1));
}
