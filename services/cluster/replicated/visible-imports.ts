import { resourceId, type Cluster, type ExportedService, type ServiceImport } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { changedKeys, entriesWithPrefix, OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import type { EffectiveRelationship } from "../trust/effective-relationships.ts";

/** What decides which exports are seen here. */
export interface ImportSources {
  /** Keyed `origin/namespace/name`. */
  readonly exports: ReadonlyMap<string, ServiceImport>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly relationships: readonly EffectiveRelationship[];
}

/** The exports of other clusters that this one may see, followed through what they follow from. */
export class VisibleImports {
  readonly #self: ClusterSelf;
  #sources: ImportSources = { exports: new Map(), clusters: new Map(), relationships: [] };
  #imports = OrderedMap.of<ServiceImport>();

  constructor(self: ClusterSelf) {
    this.#self = self;
  }

  /** By `namespace/<service>.<origin cluster>`. O(changed exports, exports of changed clusters); all of them when a relationship changed. */
  next(sources: ImportSources): OrderedMap<ServiceImport> {
    const before = this.#sources;
    this.#sources = sources;
    const changed = new Set(changedKeys(before.exports, sources.exports));
    if (before.relationships !== sources.relationships) {
      for (const key of sources.exports.keys()) changed.add(key);
    } else {
      for (const cluster of changedKeys(before.clusters, sources.clusters)) for (const [key] of entriesWithPrefix(sources.exports, `${cluster}/`)) changed.add(key);
    }
    for (const key of changed) {
      const gone = before.exports.get(key);
      const received = sources.exports.get(key);
      if (gone !== undefined && (received === undefined || idOf(gone) !== idOf(received))) this.#imports = this.#imports.without(idOf(gone));
      if (received === undefined) continue;
      this.#imports = this.#isSeen(received.spec) ? this.#imports.with(idOf(received), received) : this.#imports.without(idOf(received));
    }
    return this.#imports;
  }

  /** A foreign service is seen only through a relationship in which we are the caller and that names it. */
  #isSeen(value: ExportedService): boolean {
    const { clusters, relationships } = this.#sources;
    return value.cluster !== this.#self.cluster && isAllowedToExport(value, clusters.get(value.cluster)) && mayCall(value.trustDomain, `${value.namespace}/${value.name}`, this.#self, relationships);
  }
}

/** What a cluster may say is read from its resource at each use: a namespace that is taken from it ends its imports at once. */
export function isAllowedToExport(value: ExportedService, cluster: Cluster | undefined): boolean {
  if (cluster === undefined) return false;
  const { trustDomain, region, exportNamespaces } = cluster.spec;
  return trustDomain === value.trustDomain && region === value.region && exportNamespaces.includes(value.namespace);
}

function mayCall(trustDomain: TrustDomainName, service: string, self: ClusterSelf, relationships: readonly EffectiveRelationship[]): boolean {
  if (trustDomain === self.trustDomain) return true;
  return relationships.some(
    (relationship) =>
      relationship.callerTrustDomain === self.trustDomain && relationship.calleeTrustDomain === trustDomain && relationship.services.includes(service),
  );
}

function idOf({ metadata }: ServiceImport): string {
  return resourceId(metadata);
}
