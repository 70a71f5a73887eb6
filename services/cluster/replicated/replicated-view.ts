import type { ReadableCollection } from "#federation/catalog/collection.ts";
import type { ObjectRecord } from "#federation/catalog/records.ts";
import { resourceKey, type Cluster, type ExportedService, type Region, type Relationship, type TrafficPolicy, type TrustDomain } from "#federation/model/resource.ts";
import { parseExportedService, readPeerResource } from "#federation/model/parse/parse-resource.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { mapWatched, WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { decodeSignedObject, openObject } from "#federation/wire/signed-object.ts";

/** One service as another cluster exports it, with the position of that statement. */
export interface ReceivedExport {
  readonly value: ExportedService;
  readonly epoch: number;
  readonly revision: number;
  readonly appliedAtMs: number;
}

/** What this cluster has received and verified, by kind and key. Immutable; replaced whole. */
export interface ReplicatedState {
  readonly regions: ReadonlyMap<string, Region>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly trustDomains: ReadonlyMap<string, TrustDomain>;
  readonly relationships: ReadonlyMap<string, Relationship>;
  readonly policies: ReadonlyMap<string, TrafficPolicy>;
  /** Keyed `origin/namespace/name`. */
  readonly exports: ReadonlyMap<string, ReceivedExport>;
  /** Of the global plane's resources above, by `resourceKey`: the position of the form that is here. */
  readonly generations: ReadonlyMap<string, Generation>;
}

export const emptyReplicatedState: ReplicatedState = {
  regions: new Map(),
  clusters: new Map(),
  trustDomains: new Map(),
  relationships: new Map(),
  policies: new Map(),
  exports: new Map(),
  generations: new Map(),
};

/** The stored objects of others, decoded once each and kept by kind. */
export class ReplicatedView {
  readonly #objects: ReadableCollection<ObjectRecord>;
  readonly #logger: Logger;
  readonly #state = new WatchedValue<ReplicatedState>(emptyReplicatedState);
  readonly #loaded = new WatchedValue(false);
  /** Decoding is remembered by record: a record never changes, a new one takes its place. */
  readonly #decoded = new WeakMap<ObjectRecord, DecodedValue>();
  #records = new Map<string, ObjectRecord>();

  constructor(objects: ReadableCollection<ObjectRecord>, logger: Logger) {
    this.#objects = objects;
    this.#logger = logger;
  }

  get state(): Watched<ReplicatedState> {
    return this.#state;
  }

  /** False until what is stored has been read: emptiness then means nothing. */
  get loaded(): Watched<boolean> {
    return this.#loaded;
  }

  /** One kind of it by itself. */
  part<K extends keyof ReplicatedState>(kind: K): Watched<ReplicatedState[K]> {
    return mapWatched(this.#state, (state) => state[kind]);
  }

  async follow(signal: AbortSignal): Promise<void> {
    for await (const batch of this.#objects.changes(signal)) {
      if (batch.initial) this.#records = new Map();
      for (const { id, value } of batch.puts) this.#records.set(id, value);
      for (const id of batch.deletes) this.#records.delete(id);
      this.#state.set(this.#decodeAll());
      this.#loaded.set(true);
    }
  }

  #decodeAll(): ReplicatedState {
    const regions = new Map<string, Region>();
    const clusters = new Map<string, Cluster>();
    const trustDomains = new Map<string, TrustDomain>();
    const relationships = new Map<string, Relationship>();
    const policies = new Map<string, TrafficPolicy>();
    const exports = new Map<string, ReceivedExport>();
    const generations = new Map<string, Generation>();
    for (const [id, record] of this.#records) {
      if (record.tombstone) continue;
      try {
        const value = this.#valueOf(record);
        if (value.kind === "export") {
          const { epoch, revision, appliedAtMs } = record;
          exports.set(`${record.origin}/${record.key}`, { value: value.service, epoch, revision, appliedAtMs });
          continue;
        }
        if (value.kind === "unknown") continue;
        const { epoch, revision } = record;
        generations.set(resourceKey(value.kind, record.key), { epoch, revision });
        if (value.kind === "Region") regions.set(record.key, value.resource);
        else if (value.kind === "Cluster") clusters.set(record.key, value.resource);
        else if (value.kind === "TrustDomain") trustDomains.set(record.key, value.resource);
        else if (value.kind === "Relationship") relationships.set(record.key, value.resource);
        else policies.set(record.key, value.resource);
      } catch (error) {
        this.#logger.warn("A received object could not be read and is left out.", { id, reason: describeError(error) });
      }
    }
    return { regions, clusters, trustDomains, relationships, policies, exports, generations };
  }

  #valueOf(record: ObjectRecord): DecodedValue {
    const known = this.#decoded.get(record);
    if (known !== undefined) return known;
    const value = decodeValue(record);
    this.#decoded.set(record, value);
    return value;
  }
}

type DecodedValue =
  | { readonly kind: "export"; readonly service: ExportedService }
  | { readonly kind: "Region"; readonly resource: Region }
  | { readonly kind: "Cluster"; readonly resource: Cluster }
  | { readonly kind: "TrustDomain"; readonly resource: TrustDomain }
  | { readonly kind: "Relationship"; readonly resource: Relationship }
  | { readonly kind: "TrafficPolicy"; readonly resource: TrafficPolicy }
  | { readonly kind: "unknown" };

function decodeValue(record: ObjectRecord): DecodedValue {
  const bytes = openObject(decodeSignedObject(record.signed)).payload.value;
  if (record.kind === "ServiceExport") return { kind: "export", service: parseExportedService(bytes) };
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
