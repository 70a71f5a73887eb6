import type { Collection } from "#federation/catalog/collection.ts";
import type { ObjectRecord } from "#federation/catalog/records.ts";
import {
  apiVersion,
  importMetadata,
  resourceKey,
  type Cluster,
  type ExportedService,
  type Region,
  type Relationship,
  type ServiceImport,
  type TrafficPolicy,
  type TrustDomain,
} from "#federation/model/resource.ts";
import { parseExportedService, readPeerResource } from "#federation/model/parse/parse-resource.ts";
import { parseClusterJwtAuthorities, type ClusterJwtAuthority } from "#federation/identity/cluster-jwt-authorities.ts";
import { globalOrigin, jwtAuthoritiesKind } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { eachValue } from "#federation/runtime/each-value.ts";
import { mapWatched, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { openObject, viewSignedObject } from "#federation/wire/signed-object.ts";
import { SharedValues } from "./shared-values.ts";

/** What this cluster has received and verified, by kind and key. Immutable; replaced whole. */
export interface ReplicatedState {
  readonly regions: ReadonlyMap<string, Region>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly trustDomains: ReadonlyMap<string, TrustDomain>;
  readonly relationships: ReadonlyMap<string, Relationship>;
  readonly policies: ReadonlyMap<string, TrafficPolicy>;
  /** Keyed `origin/namespace/name`, whether or not this cluster may see them. Each is made once for each statement of its origin. */
  readonly exports: ReadonlyMap<string, ServiceImport>;
  /** By the cluster that signs by them, one's own among them. */
  readonly jwtAuthorities: ReadonlyMap<string, StatedJwtAuthorities>;
  /** Of the global plane's resources above, by `resourceKey`: the position of the form that is here. */
  readonly generations: ReadonlyMap<string, Generation>;
}

/** What a cluster has said of its JWT authorities. */
export interface StatedJwtAuthorities {
  /** Whose authority vouches for the cluster. */
  readonly trustDomain: string;
  readonly authorities: readonly ClusterJwtAuthority[];
}

export const emptyReplicatedState = {
  regions: OrderedMap.of<Region>(),
  clusters: OrderedMap.of<Cluster>(),
  trustDomains: OrderedMap.of<TrustDomain>(),
  relationships: OrderedMap.of<Relationship>(),
  policies: OrderedMap.of<TrafficPolicy>(),
  exports: OrderedMap.of<ServiceImport>(),
  jwtAuthorities: OrderedMap.of<StatedJwtAuthorities>(),
  generations: OrderedMap.of<Generation>(),
} satisfies ReplicatedState;

/** A state that shares with the next one what did not change. */
type OrderedState = typeof emptyReplicatedState;

/** The stored objects of others, decoded once each and kept by kind. What a piece of what the store says does not touch is not looked at again. */
export class ReplicatedView {
  readonly #objects: Pick<Collection<ObjectRecord>, "pieces">;
  readonly #logger: Logger;
  readonly #shared = new SharedValues();
  readonly #state = new WatchedValue(emptyReplicatedState);
  readonly #loaded = new WatchedValue(false);

  constructor(objects: Pick<Collection<ObjectRecord>, "pieces">, logger: Logger) {
    this.#objects = objects;
    this.#logger = logger;
  }

  get state(): Watched<ReplicatedState> {
    return this.#state;
  }

  /** False until all that is stored has been read: what is missing then means nothing. */
  get loaded(): Watched<boolean> {
    return this.#loaded;
  }

  /** One kind of it by itself. */
  part<K extends keyof ReplicatedState>(kind: K): Watched<ReplicatedState[K]> {
    return mapWatched(this.#state, (state) => state[kind]);
  }

  async follow(signal: AbortSignal): Promise<void> {
    let next: OrderedState = emptyReplicatedState;
    await eachValue(this.#objects.pieces(signal), (piece) => {
      if (piece.initial) next = emptyReplicatedState;
      for (const { id, value } of piece.puts) next = value.tombstone ? without(next, id) : this.#with(next, id, value);
      for (const id of piece.deletes) next = without(next, id);
      // Whoever derives something of it goes along with what is read first. Later nobody may see a part of it, as if the rest were gone.
      if (piece.more && this.#loaded.current) return;
      this.#state.set(next);
      if (!piece.more) this.#loaded.set(true);
    });
  }

  #with(state: OrderedState, id: string, record: ObjectRecord): OrderedState {
    try {
      return withValue(state, record, decodeValue(record, this.#shared));
    } catch (error) {
      this.#logger.warn("A received object could not be read and is left out.", { id, reason: describeError(error) });
      return without(state, id);
    }
  }
}

function withValue(state: OrderedState, record: ObjectRecord, value: DecodedValue): OrderedState {
  const { origin, key, epoch, revision } = record;
  if (value.kind === "unknown") return state;
  if (value.kind === "export") return { ...state, exports: state.exports.with(`${origin}/${key}`, value.imported) };
  if (value.kind === "jwtAuthorities") return { ...state, jwtAuthorities: state.jwtAuthorities.with(origin, value.stated) };
  const generations = state.generations.with(resourceKey(value.kind, key), { epoch, revision });
  switch (value.kind) {
    case "Region":
      return { ...state, generations, regions: state.regions.with(key, value.resource) };
    case "Cluster":
      return { ...state, generations, clusters: state.clusters.with(key, value.resource) };
    case "TrustDomain":
      return { ...state, generations, trustDomains: state.trustDomains.with(key, value.resource) };
    case "Relationship":
      return { ...state, generations, relationships: state.relationships.with(key, value.resource) };
    case "TrafficPolicy":
    default:
      return { ...state, generations, policies: state.policies.with(key, value.resource) };
  }
}

/** Without what the object `id`, `origin/kind/key`, stated. */
function without(state: OrderedState, id: string): OrderedState {
  const [origin = "", kind = "", ...rest] = id.split("/");
  const key = rest.join("/");
  if (kind === "ServiceExport") return { ...state, exports: state.exports.without(`${origin}/${key}`) };
  if (kind === jwtAuthoritiesKind) return { ...state, jwtAuthorities: state.jwtAuthorities.without(origin) };
  const part = origin === globalOrigin ? partOf[kind] : undefined;
  if (part === undefined) return state;
  return { ...state, generations: state.generations.without(`${kind}/${key}`), [part]: state[part].without(key) };
}

const partOf: Readonly<Record<string, "regions" | "clusters" | "trustDomains" | "relationships" | "policies">> = {
  Region: "regions",
  Cluster: "clusters",
  TrustDomain: "trustDomains",
  Relationship: "relationships",
  TrafficPolicy: "policies",
};

type DecodedValue =
  | { readonly kind: "export"; readonly imported: ServiceImport }
  | { readonly kind: "jwtAuthorities"; readonly stated: StatedJwtAuthorities }
  | { readonly kind: "Region"; readonly resource: Region }
  | { readonly kind: "Cluster"; readonly resource: Cluster }
  | { readonly kind: "TrustDomain"; readonly resource: TrustDomain }
  | { readonly kind: "Relationship"; readonly resource: Relationship }
  | { readonly kind: "TrafficPolicy"; readonly resource: TrafficPolicy }
  | { readonly kind: "unknown" };

/** What others than the global plane say of its kinds is not for here: a signer keeps its own TrustDomain beside the one that was received. */
function decodeValue(record: ObjectRecord, shared: SharedValues): DecodedValue {
  const { value: bytes, originTrustDomain } = openObject(viewSignedObject(record.signed)).payload;
  if (record.kind === "ServiceExport") return { kind: "export", imported: importOf(record, parseExportedService(bytes), shared) };
  if (record.kind === jwtAuthoritiesKind) return { kind: "jwtAuthorities", stated: { trustDomain: originTrustDomain, authorities: parseClusterJwtAuthorities(bytes) } };
  if (record.origin !== globalOrigin) return { kind: "unknown" };
  switch (record.kind) {
    case "Region":
      return { kind: "Region", resource: readPeerResource("Region", bytes) };
    case "Cluster":
      return { kind: "Cluster", resource: readPeerResource("Cluster", bytes) };
    case "TrustDomain":
      return { kind: "TrustDomain", resource: readPeerResource("TrustDomain", bytes) };
    case "Relationship":
      return { kind: "Relationship", resource: readPeerResource("Relationship", bytes) };
    case "TrafficPolicy":
      return { kind: "TrafficPolicy", resource: readPeerResource("TrafficPolicy", bytes) };
    default:
      // A kind of a newer version: kept and passed on, not understood here.
      return { kind: "unknown" };
  }
}

function importOf({ epoch, revision, appliedAtMs }: ObjectRecord, service: ExportedService, shared: SharedValues): ServiceImport {
  const { namespace, trustDomain, cluster, region, ports, gateways } = service;
  const common = { namespace: shared.of(namespace), trustDomain: shared.of(trustDomain), cluster: shared.of(cluster), region: shared.of(region), ports: shared.of(ports), gateways: shared.of(gateways) };
  const spec = { ...service, ...common, origin: { epoch, revision }, appliedAtMs };
  return { apiVersion, kind: "ServiceImport", metadata: importMetadata(spec), spec };
}
