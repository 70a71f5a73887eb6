import type { EndpointRecord } from "#federation/model/endpoint.ts";
import type { ClusterId, RegionId, TrustDomainName } from "#federation/model/names.ts";
import type { Cluster, Service, ServiceExport, ServiceImport, TrafficPolicy } from "#federation/model/resource.ts";
import type { EndpointView, Generation } from "#federation/model/snapshot.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { EffectiveRelationship } from "./trust/effective-relationships.ts";

/** Who this cluster is; given by the global plane at joining and fixed from then on. */
export interface ClusterSelf {
  readonly federation: string;
  readonly cluster: ClusterId;
  readonly region: RegionId;
  readonly trustDomain: TrustDomainName;
}

/** A registered instance with what the registry knows of its session. */
export interface EndpointState {
  readonly record: EndpointRecord;
  /** False after the plane's restart or a broken session: then readiness is what was last reported. */
  readonly attached: boolean;
  /** True once it has been away for longer than a proxy takes to come back: a plane's restart makes nothing of it. */
  readonly isMissed: boolean;
}

/** The instances that back each service, by `namespace/name`; of each service by their id and in its order. */
export type InstancesByService = ReadonlyMap<string, OrderedMap<EndpointState>>;

/**
 * Everything that discovery and exports are derived from: one immutable view, replaced whole. What did not change is the same object in
 * the next one, and the large maps share what they have in common, so that `changedKeys` tells two states apart for what the change costs.
 */
export interface ClusterState {
  readonly self: ClusterSelf;
  /** Keyed `namespace/name`, like exports. */
  readonly services: ReadonlyMap<string, Service>;
  readonly exports: ReadonlyMap<string, ServiceExport>;
  /** By instance id. */
  readonly endpoints: ReadonlyMap<string, EndpointState>;
  readonly endpointsOf: InstancesByService;
  /** By `namespace/<service>.<origin cluster>`. */
  readonly imports: ReadonlyMap<string, ServiceImport>;
  /** By `targetKey` of the service that each targets. */
  readonly policies: ReadonlyMap<string, TrafficPolicy>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** Own trust domain's, those of effective relationships, and federated ones (`isFederated`); nothing else is ever pushed. */
  readonly bundles: ReadonlyMap<TrustDomainName, TrustBundle>;
  readonly relationships: readonly EffectiveRelationship[];
  /** Of each resource that this state was made of, its own kinds, the global plane's and imports, by `resourceKey`: the position of its form. */
  readonly generations: ReadonlyMap<string, Generation>;
}

/** What an instance counts as for other clusters. Unknown is not down, and it is not ready. */
export function readinessOf({ record, isMissed }: EndpointState): EndpointView["readiness"] {
  if (!record.ready) return "notReady";
  return isMissed ? "unknown" : "ready";
}
