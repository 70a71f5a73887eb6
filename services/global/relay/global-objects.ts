import type { DeletionRecord } from "#federation/catalog/records.ts";
import type { CollectionState } from "#federation/catalog/collection.ts";
import { resourceId, type Cluster, type Region, type Relationship, type Resource, type TrafficPolicy, type TrustDomain } from "#federation/model/resource.ts";
import { encodePeerResource } from "#federation/model/parse/parse-resource.ts";
import { isSameList } from "#federation/runtime/same-list.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import { signObject, type ObjectSigner } from "#federation/wire/signed-object.ts";
import { everyone, globalOrigin, objectId, type OpenedObject } from "#federation/model/replicated-object.ts";

/** The resources that the global plane owns and clusters need. */
export interface GlobalResources {
  readonly regions: Watched<CollectionState<Region>>;
  readonly clusters: Watched<CollectionState<Cluster>>;
  readonly trustDomains: Watched<CollectionState<TrustDomain>>;
  readonly relationships: Watched<CollectionState<Relationship>>;
  readonly policies: Watched<CollectionState<TrafficPolicy>>;
}

interface Signed {
  readonly value: Resource | DeletionRecord;
  readonly object: OpenedObject;
}

/**
 * The global plane's own statements. A resource is signed once for each revision of it; what each cluster may see of
 * them is decided where they are offered, so their audience is everyone.
 */
export class GlobalObjects {
  readonly #federation: string;
  readonly #epoch: number;
  readonly #signer: () => ObjectSigner;
  #signed = new Map<string, Signed>();
  /** What the latest answer was made of, and the answer. */
  #latest: { readonly of: readonly unknown[]; readonly objects: ReadonlyMap<string, OpenedObject> } = { of: [], objects: new Map() };
  #signedBy: ObjectSigner | undefined;

  constructor(options: { readonly federation: string; readonly epoch: number; readonly signer: () => ObjectSigner }) {
    this.#federation = options.federation;
    this.#epoch = options.epoch;
    this.#signer = options.signer;
  }

  /**
   * The objects of the present resources, by object id. A new signing key signs all of them anew at their old positions:
   * whoever has them keeps them, and whoever comes later finds a signature that is still valid. A resource that was read anew is signed
   * anew, since a store that was restored gives a revision to another value. A recorded deletion is a tombstone, unless the resource is
   * there again; what is not among the deletions that are known yet stays as it was until it is, since whoever receives a withdrawal that
   * nobody signed may hold it back, and all others with it. The same map as before when nothing has changed.
   */
  of(resources: GlobalResources, deletions: CollectionState<DeletionRecord>): ReadonlyMap<string, OpenedObject> {
    const parts = [this.#signer(), deletions.items, ...Object.values(resources).map((state: Watched<CollectionState<Resource>>) => state.current.items)];
    if (isSameList(parts, this.#latest.of)) return this.#latest.objects;
    if (this.#signedBy !== this.#signer()) this.#signed = new Map();
    this.#signedBy = this.#signer();
    const next = new Map<string, Signed>();
    for (const state of Object.values(resources) as Watched<CollectionState<Resource>>[]) {
      for (const { value, revision } of state.current.items.values()) {
        const key = resourceId(value.metadata);
        const id = objectId({ origin: globalOrigin, kind: value.kind, key });
        const before = this.#signed.get(id);
        next.set(id, before?.value === value ? before : { value, object: this.#sign(value.kind, key, revision, value) });
      }
    }
    for (const { value, revision } of deletions.items.values()) {
      const id = objectId({ origin: globalOrigin, kind: value.kind, key: value.id });
      if (next.has(id)) continue;
      const before = this.#signed.get(id);
      next.set(id, before?.value === value ? before : { value, object: this.#sign(value.kind, value.id, revision) });
    }
    for (const [id, before] of this.#signed) if (!next.has(id) && isDeletionAhead(before.object, resources, deletions)) next.set(id, before);
    this.#signed = next;
    this.#latest = { of: parts, objects: new Map([...next].map(([id, { object }]) => [id, object])) };
    return this.#latest.objects;
  }

  /** Without a resource: that it is deleted. */
  #sign(kind: string, key: string, revision: number, resource?: Resource): OpenedObject {
    return signObject(
      {
        federation: this.#federation,
        origin: globalOrigin,
        originTrustDomain: this.#federation,
        kind,
        key,
        generation: { epoch: this.#epoch, revision },
        audience: [everyone],
        tombstone: resource === undefined,
        value: resource === undefined ? new Uint8Array() : encodePeerResource(resource),
      },
      this.#signer(),
    );
  }
}

/**
 * Whether a resource that is gone may have been deleted at a revision that `deletions`, which are read beside the resources, do not reflect
 * yet. What gives somebody a right is gone at once.
 */
function isDeletionAhead({ payload: { kind, tombstone } }: OpenedObject, { regions, policies }: GlobalResources, deletions: CollectionState<DeletionRecord>): boolean {
  const states: Readonly<Record<string, Watched<CollectionState<Resource>>>> = { Region: regions, TrafficPolicy: policies };
  return !tombstone && deletions.revision < (states[kind]?.current.revision ?? 0);
}

/** The newest revision that `resources` reflect. */
export function revisionOf(resources: GlobalResources): number {
  return Math.max(...Object.values(resources).map((state: Watched<CollectionState<Resource>>) => state.current.revision));
}
