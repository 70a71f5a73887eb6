import { isDeepStrictEqual } from "node:util";
import type { CollectionState, Stored } from "#federation/catalog/collection.ts";
import { apiVersion, type FederatedTrustDomain, type Relationship, type Service, type ServiceExport, type ServiceImport, type TrafficPolicy, type TrustDomain } from "#federation/model/resource.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { jwtAuthoritiesMax, withJwtAuthorities, type TrustBundle } from "#federation/model/trust-bundle.ts";
import { acceptBundle } from "#federation/identity/accept-bundle.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { DerivedMap } from "#federation/runtime/derived-map.ts";
import { isSameList } from "#federation/runtime/same-list.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { changedKeys } from "#federation/runtime/ordered-map.ts";
import { mapWatched, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { ClusterSelf, ClusterState, EndpointState } from "./cluster-state.ts";
import { isOwnDomain } from "./federated-bundles/own-domains.ts";
import { believedBundle } from "./federated-bundles/believed-bundle.ts";
import { Generations } from "./generations.ts";
import { policiesByTarget } from "./policies-by-target.ts";
import { VisibleImports } from "./replicated/visible-imports.ts";
import { ServiceInstances } from "./registry/instances-by-service.ts";
import type { ReplicatedState } from "./replicated/replicated-view.ts";
import { withdrawnVerdict, type EffectiveRelationship, type RelationshipVerdict } from "./trust/effective-relationships.ts";
import { JoinedJwtAuthorities } from "./trust/joined-jwt-authorities.ts";
import { JudgedRelationships } from "./trust/judged-relationships.ts";

/** What a cluster knows of its own trust domain without asking anybody. */
export interface OwnTrust {
  readonly bundle: TrustBundle;
  readonly authorityCertificatePem: string;
}

export interface ClusterStateInputs {
  readonly self: ClusterSelf;
  /** Of this cluster's own store. */
  readonly epoch: number;
  readonly federated: Watched<CollectionState<FederatedTrustDomain>>;
  readonly services: Watched<CollectionState<Service>>;
  readonly exports: Watched<CollectionState<ServiceExport>>;
  /** By instance id. */
  readonly endpoints: Watched<ReadonlyMap<string, EndpointState>>;
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
  readonly #federated: DerivedMap<Stored<FederatedTrustDomain>, TrustBundle>;
  readonly #judged = new JudgedRelationships();
  readonly #jwtAuthorities: JoinedJwtAuthorities;
  readonly #imports: VisibleImports;
  readonly #generations: Generations;
  readonly #services = new DerivedMap<Stored<Service>, Service>(({ value }) => value);
  readonly #exports = new DerivedMap<Stored<ServiceExport>, ServiceExport>(({ value }) => value);
  readonly #instances = new ServiceInstances();
  #own: { readonly trust: OwnTrust; readonly trustDomain: TrustDomain } | undefined;
  #policies: { readonly policies: ReadonlyMap<string, TrafficPolicy>; readonly byTarget: ReadonlyMap<string, TrafficPolicy> } | undefined;
  #relationships: readonly EffectiveRelationship[] = [];
  #bundles: ReadonlyMap<TrustDomainName, TrustBundle> = new Map();

  constructor(inputs: ClusterStateInputs) {
    this.#inputs = inputs;
    this.#federated = new DerivedMap(({ value }) => believedBundle(value, inputs.parseBundle));
    this.#imports = new VisibleImports(inputs.self);
    this.#jwtAuthorities = new JoinedJwtAuthorities(inputs.self);
    this.#generations = new Generations(inputs.epoch);
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
    return mapWatched(this.#state, ({ imports }) => imports);
  }

  async follow(signal: AbortSignal): Promise<void> {
    const { federated, services, exports, endpoints, endpointsLoaded, replicated, replicatedLoaded, ownTrust, withdrawn, clock } = this.#inputs;
    const parts: readonly Watched<unknown>[] = [federated, services, exports, endpoints, endpointsLoaded, replicated, replicatedLoaded, ownTrust, withdrawn];
    await runTasks(
      [
        ...parts.map((part) => async (inner: AbortSignal) => {
          for await (const _ of part.changes(inner)) this.#publish();
        }),
        async (inner) => {
          for (;;) {
            await sleep(clock, lookAgainMs, inner);
            if (this.#relationshipsMoved() || this.#jwtAuthorities.isOver(clock.nowMs())) this.#publish();
          }
        },
      ],
      signal,
    );
  }

  /** JWT authorities that are not believed, because their trust domains have too many. */
  get jwtAuthoritiesLeftOut(): number {
    return this.#jwtAuthorities.leftOut;
  }

  /** Why each known relationship has effect here, or has none. */
  verdicts(): ReadonlyMap<string, RelationshipVerdict> {
    const { self, replicated } = this.#inputs;
    const known = this.#knownTrustDomains();
    const concerning = [...replicated.current.relationships.values()].filter((relationship) => concerns(relationship, self));
    return new Map(concerning.map((relationship) => [relationship.metadata.name, this.#verdict(relationship, known)]));
  }

  /** Why one relationship has effect here, or has none. */
  verdict(relationship: Relationship): RelationshipVerdict {
    return this.#verdict(relationship, this.#knownTrustDomains());
  }

  #verdict(relationship: Relationship, known: ReadonlyMap<string, TrustDomain>): RelationshipVerdict {
    const { self, withdrawn, clock } = this.#inputs;
    return withdrawn.current.has(relationship.metadata.name) ? withdrawnVerdict(relationship, self.trustDomain) : this.#judged.judge(relationship, known, clock.nowMs());
  }

  #knownTrustDomains(): ReadonlyMap<string, TrustDomain> {
    const known = new Map<string, TrustDomain>(this.#inputs.replicated.current.trustDomains);
    // Of one's own authority one believes one's own files, never what was sent.
    known.set(this.#inputs.self.trustDomain, this.#ownTrustDomain());
    return known;
  }

  #publish(): void {
    const { federated, services, exports, endpointsLoaded, replicatedLoaded } = this.#inputs;
    const isLoaded = federated.current.loaded && services.current.loaded && exports.current.loaded && endpointsLoaded.current && replicatedLoaded.current;
    this.#state.set(this.#join());
    if (isLoaded) this.#loaded.set(true);
  }

  #join(): ClusterState {
    const { self, federated, services, exports, endpoints, replicated, ownTrust } = this.#inputs;
    const relationships = this.#effective();
    this.#relationships = relationships;
    const imports = this.#imports.next({ ...replicated.current, relationships });
    const bundles = this.#bundlesOf(relationships, ownTrust.current);
    return {
      self,
      services: this.#services.next(services.current.items),
      exports: this.#exports.next(exports.current.items),
      endpoints: endpoints.current,
      endpointsOf: this.#instances.next(endpoints.current),
      imports,
      policies: this.#policiesOf(replicated.current.policies),
      clusters: replicated.current.clusters,
      bundles,
      relationships,
      generations: this.#generations.next({ federated: federated.current.items, services: services.current.items, exports: exports.current.items, imports, replicated: replicated.current.generations, bundles }),
    };
  }

  #relationshipsMoved(): boolean {
    return this.#effective() !== this.#relationships;
  }

  /** The same list for as long as it has the same members. O(relationships). */
  #effective(): readonly EffectiveRelationship[] {
    const before = this.#relationships;
    const now = [...this.verdicts().values()].flatMap((verdict) => (verdict.kind === "effective" ? [verdict.relationship] : []));
    if (isSameList(now, before)) return before;
    // An edit that changes nothing of what holds makes nothing anew.
    const known = new Map(before.map((one) => [one.name, one]));
    const kept = now.map((one) => (isDeepStrictEqual(known.get(one.name), one) ? (known.get(one.name) ?? one) : one));
    return isSameList(kept, before) ? before : kept;
  }

  /** Foreign bundles, and the JWT authorities with them, count only under an effective relationship and with their own authority's signature. */
  #bundlesOf(relationships: readonly EffectiveRelationship[], own: OwnTrust): ReadonlyMap<TrustDomainName, TrustBundle> {
    const { self, federated, replicated, clock } = this.#inputs;
    this.#jwtAuthorities.next(replicated.current, clock.nowMs());
    const bundles = new Map([[self.trustDomain, this.#withKeys(own.bundle)]]);
    for (const relationship of relationships) {
      const foreign = relationship.callerTrustDomain === self.trustDomain ? relationship.calleeTrustDomain : relationship.callerTrustDomain;
      const document = replicated.current.trustDomains.get(foreign);
      if (document === undefined || bundles.has(foreign)) continue;
      const bundle = this.#judged.isGenuine(document) ? this.#accept(foreign, document.spec.bundle) : this.#accepted.get(foreign);
      if (bundle !== undefined) bundles.set(foreign, this.#withKeys(bundle));
    }
    for (const bundle of this.#federated.next(federated.current.items).values()) {
      // A trust domain of this federation speaks by its own authority alone, whatever was declared before it came.
      if (!isOwnDomain(bundle.trustDomain, self, replicated.current.trustDomains)) bundles.set(bundle.trustDomain, bundle);
    }
    // The same map for as long as it holds the same.
    if (changedKeys(this.#bundles, bundles).length > 0) this.#bundles = bundles;
    return this.#bundles;
  }

  /** `bundle` with the JWT authorities of its trust domain's clusters beside its own; the same object for as long as it says the same. */
  #withKeys(bundle: TrustBundle): TrustBundle {
    const authorities = [...(bundle.jwtAuthorities ?? []), ...this.#jwtAuthorities.of(bundle.trustDomain)].slice(0, jwtAuthoritiesMax);
    const before = this.#bundles.get(bundle.trustDomain);
    const isSameRoots = before !== undefined && before.x509Authorities === bundle.x509Authorities && before.sequence === bundle.sequence;
    return withJwtAuthorities(isSameRoots ? before : bundle, authorities);
  }

  #policiesOf(policies: ReadonlyMap<string, TrafficPolicy>): ReadonlyMap<string, TrafficPolicy> {
    if (this.#policies?.policies !== policies) this.#policies = { policies, byTarget: policiesByTarget(policies.values(), this.#inputs.self.trustDomain) };
    return this.#policies.byTarget;
  }

  #ownTrustDomain(): TrustDomain {
    const { self, ownTrust } = this.#inputs;
    const trust = ownTrust.current;
    if (this.#own?.trust !== trust) {
      const { authorityCertificatePem } = trust;
      this.#own = { trust, trustDomain: { apiVersion, kind: "TrustDomain", metadata: { name: self.trustDomain }, spec: { authorityCertificatePem, bundle: "", bundleSignature: "" } } };
    }
    return this.#own.trustDomain;
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

function concerns(relationship: Relationship, self: ClusterSelf): boolean {
  return relationship.spec.caller.trustDomain === self.trustDomain || relationship.spec.callee.trustDomain === self.trustDomain;
}
