import type { CollectionState } from "#federation/catalog/collection.ts";
import { apiVersion, resourceId, resourceKey, type Cluster, type ExportedService, type Kind, type Relationship, type Service, type ServiceExport, type ServiceImport, type TrustDomain } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { acceptBundle } from "#federation/identity/accept-bundle.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { mapWatched, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { ClusterSelf, ClusterState, EndpointState } from "./cluster-state.ts";
import type { ReceivedExport, ReplicatedState } from "./replicated/replicated-view.ts";
import { isBundleGenuine, judgeRelationship, withdrawnVerdict, type EffectiveRelationship, type RelationshipVerdict } from "./trust/effective-relationships.ts";

/** What a cluster knows of its own trust domain without asking anybody. */
export interface OwnTrust {
  readonly bundle: TrustBundle;
  readonly authorityCertificatePem: string;
}

export interface ClusterStateInputs {
  readonly self: ClusterSelf;
  /** Of this cluster's own store. */
  readonly epoch: number;
  readonly services: Watched<CollectionState<Service>>;
  readonly exports: Watched<CollectionState<ServiceExport>>;
  readonly endpoints: Watched<readonly EndpointState[]>;
  readonly endpointsLoaded: Watched<boolean>;
  readonly replicated: Watched<ReplicatedState>;
  readonly replicatedLoaded: Watched<boolean>;
  readonly ownTrust: Watched<OwnTrust>;
  /** Relationships whose approval this plane has taken back: they have no effect here, whatever others still send. */
  readonly withdrawn: Watched<ReadonlySet<string>>;
  /** Reads a bundle document; throws a coded error when it is not one of `trustDomain`. */
  readonly parseBundle: (document: string, trustDomain: TrustDomainName) => TrustBundle;
  readonly clock: Clock;
}

/** Relationships end by their date, so the state is looked at again even when nothing changes. */
const lookAgainMs = 5_000;

/** Joins everything that a cluster knows into one `ClusterState`, anew whenever a part changes. */
export class ClusterStateSource {
  readonly #inputs: ClusterStateInputs;
  readonly #state: WatchedValue<ClusterState>;
  readonly #loaded = new WatchedValue(false);
  /** By trust domain the newest good foreign bundle: one that is broken, older or empty never takes its place. */
  readonly #accepted = new Map<TrustDomainName, TrustBundle>();
  #signature = "";

  constructor(inputs: ClusterStateInputs) {
    this.#inputs = inputs;
    this.#state = new WatchedValue(this.#join());
  }

  get state(): Watched<ClusterState> {
    return this.#state;
  }

  /** True once a state that every part has been read for stands in `state`: before that, emptiness means nothing. */
  get loaded(): Watched<boolean> {
    return this.#loaded;
  }

  /** What this cluster has learned of others' services, by `namespace/<service>.<origin cluster>`. */
  get imports(): Watched<ReadonlyMap<string, ServiceImport>> {
    return mapWatched(this.#state, ({ imports }) => new Map(imports.map((imported) => [resourceId(imported.metadata), imported])));
  }

  async follow(signal: AbortSignal): Promise<void> {
    const { services, exports, endpoints, endpointsLoaded, replicated, replicatedLoaded, ownTrust, withdrawn, clock } = this.#inputs;
    const parts: readonly Watched<unknown>[] = [services, exports, endpoints, endpointsLoaded, replicated, replicatedLoaded, ownTrust, withdrawn];
    await runTasks(
      [
        ...parts.map((part) => async (inner: AbortSignal) => {
          for await (const _ of part.changes(inner)) this.#publish();
        }),
        async (inner) => {
          for (;;) {
            await sleep(clock, lookAgainMs, inner);
            if (this.#relationshipsMoved()) this.#publish();
          }
        },
      ],
      signal,
    );
  }

  /** Why each known relationship has effect here, or has none. */
  verdicts(): ReadonlyMap<string, RelationshipVerdict> {
    return judgeAll(this.#inputs);
  }

  #publish(): void {
    const { services, exports, endpointsLoaded, replicatedLoaded } = this.#inputs;
    const isLoaded = services.current.loaded && exports.current.loaded && endpointsLoaded.current && replicatedLoaded.current;
    this.#state.set(this.#join());
    if (isLoaded) this.#loaded.set(true);
  }

  #join(): ClusterState {
    const { self, epoch, services, exports, endpoints, replicated, ownTrust } = this.#inputs;
    const relationships = effectiveOf(judgeAll(this.#inputs));
    this.#signature = relationships.map((relationship) => relationship.name).join("\0");
    const imports = importsOf(replicated.current, self, relationships);
    return {
      self,
      services: valuesOf(services.current),
      exports: valuesOf(exports.current),
      endpoints: endpoints.current,
      imports,
      policies: [...replicated.current.policies.values()],
      clusters: replicated.current.clusters,
      bundles: this.#bundles(relationships, ownTrust.current),
      relationships,
      generations: new Map([
        ...replicated.current.generations,
        ...generationsIn("Service", services.current, epoch),
        ...generationsIn("ServiceExport", exports.current, epoch),
        ...imports.map(({ kind, metadata, spec }) => [resourceKey(kind, resourceId(metadata)), spec.origin] as const),
      ]),
    };
  }

  #relationshipsMoved(): boolean {
    const now = effectiveOf(judgeAll(this.#inputs)).map((relationship) => relationship.name);
    return now.join("\0") !== this.#signature;
  }

  /** Foreign bundles count only under an effective relationship and with their own authority's signature. */
  #bundles(relationships: readonly EffectiveRelationship[], own: OwnTrust): ReadonlyMap<TrustDomainName, TrustBundle> {
    const { self, replicated } = this.#inputs;
    const bundles = new Map([[self.trustDomain, own.bundle]]);
    for (const relationship of relationships) {
      const foreign = relationship.callerTrustDomain === self.trustDomain ? relationship.calleeTrustDomain : relationship.callerTrustDomain;
      const document = replicated.current.trustDomains.get(foreign);
      if (document === undefined || bundles.has(foreign)) continue;
      const bundle = isBundleGenuine(document) ? this.#accept(foreign, document.spec.bundle) : this.#accepted.get(foreign);
      if (bundle !== undefined) bundles.set(foreign, bundle);
    }
    return bundles;
  }

  #accept(trustDomain: TrustDomainName, document: string): TrustBundle | undefined {
    const current = this.#accepted.get(trustDomain);
    try {
      const decision = acceptBundle(current, this.#inputs.parseBundle(document, trustDomain));
      if (decision.kind === "accepted") this.#accepted.set(trustDomain, decision.bundle);
      return decision.kind === "refused" ? current : decision.bundle;
    } catch (error) {
      if (!isAtollError(error)) throw error;
      // Another domain's mistake: its last good bundle goes on.
      return current;
    }
  }
}

function judgeAll(inputs: ClusterStateInputs): ReadonlyMap<string, RelationshipVerdict> {
  const { self, replicated, ownTrust, withdrawn, clock } = inputs;
  const known = new Map<string, TrustDomain>(replicated.current.trustDomains);
  // Of one's own authority one believes one's own files, never what was sent.
  known.set(self.trustDomain, {
    apiVersion,
    kind: "TrustDomain",
    metadata: { name: self.trustDomain },
    spec: { authorityCertificatePem: ownTrust.current.authorityCertificatePem, bundle: "", bundleSignature: "" },
  });
  const concerning = [...replicated.current.relationships.values()].filter((relationship) => concerns(relationship, self));
  return new Map(concerning.map((relationship) => [relationship.metadata.name, withdrawn.current.has(relationship.metadata.name) ? withdrawnVerdict(relationship, self.trustDomain) : judgeRelationship(relationship, known, clock.nowMs())]));
}

function concerns(relationship: Relationship, self: ClusterSelf): boolean {
  return relationship.spec.caller.trustDomain === self.trustDomain || relationship.spec.callee.trustDomain === self.trustDomain;
}

function effectiveOf(verdicts: ReadonlyMap<string, RelationshipVerdict>): readonly EffectiveRelationship[] {
  return [...verdicts.values()].flatMap((verdict) => (verdict.kind === "effective" ? [verdict.relationship] : []));
}

/** A foreign service is seen only through a relationship in which we are the caller and that names it. */
function importsOf(replicated: ReplicatedState, self: ClusterSelf, relationships: readonly EffectiveRelationship[]): readonly ServiceImport[] {
  return [...replicated.exports.values()]
    .filter(({ value }) => value.cluster !== self.cluster && isAllowedToExport(value, replicated.clusters.get(value.cluster)) && mayCall(value.trustDomain, `${value.namespace}/${value.name}`, self, relationships))
    .map((received) => importOf(received))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
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

function importOf({ value, epoch, revision, appliedAtMs }: ReceivedExport): ServiceImport {
  return {
    apiVersion,
    kind: "ServiceImport",
    metadata: { namespace: value.namespace, name: `${value.name}.${value.cluster}` },
    spec: { ...value, origin: { epoch, revision }, appliedAtMs },
  };
}

function valuesOf<T>(state: CollectionState<T>): ReadonlyMap<string, T> {
  return new Map([...state.items].map(([id, stored]) => [id, stored.value]));
}

function generationsIn(kind: Kind, { items }: CollectionState<unknown>, epoch: number): readonly (readonly [string, Generation])[] {
  return [...items].map(([id, { revision }]) => [resourceKey(kind, id), { epoch, revision }]);
}
