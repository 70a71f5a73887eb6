import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CollectionState, CollectionView } from "#federation/catalog/collection.ts";
import type { DeletionRecord, ObjectRecord } from "#federation/catalog/records.ts";
import type { Cluster, ExportedService, Relationship, TrustDomain } from "#federation/model/resource.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { decodeSignedObject, openObject } from "#federation/wire/signed-object.ts";
import { ApprovedRelationships } from "../trust/approved-relationships.ts";
import { revisionOf, type GlobalObjects, type GlobalResources } from "./global-objects.ts";
import { mayBring, type BroughtView } from "./brought-objects.ts";

/** What the global plane publishes, as of one position of its store. */
export interface Publication {
  readonly revision: number;
  readonly objects: ReadonlyMap<string, OpenedObject>;
}

export interface FederationStateOptions {
  readonly catalog: Catalog;
  readonly own: GlobalObjects;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Wraps each task that follows the store, e.g. so that it begins anew after a fault. */
  readonly follow: (task: Task) => Task;
}

/** A map that was made of another. */
interface Derived<V> {
  readonly of: unknown;
  readonly all: ReadonlyMap<string, V>;
}

/**
 * The store of the leading global plane as one state in memory. Nothing is published before every part of it has been
 * read: a part that is still empty would look like withdrawals.
 */
export class FederationState {
  readonly resources: GlobalResources;
  readonly clusters = new WatchedValue<ReadonlyMap<string, Cluster>>(new Map());
  readonly publication = new WatchedValue<Publication>({ revision: 0, objects: new Map() });
  readonly #ready = new WatchedValue(false);
  readonly #options: FederationStateOptions;
  readonly #views: readonly CollectionView<unknown>[];
  readonly #received: Watched<CollectionState<ObjectRecord>>;
  readonly #deletions: Watched<CollectionState<DeletionRecord>>;
  readonly #approved = new ApprovedRelationships();
  /** A record never changes, a new one takes its place; undefined is one that cannot be read. */
  readonly #opened = new WeakMap<ObjectRecord, { readonly object: OpenedObject | undefined }>();
  readonly #judged = new WeakMap<OpenedObject, { readonly cluster: Cluster; readonly may: boolean }>();
  readonly #services = new WeakMap<OpenedObject, { readonly service: ExportedService | undefined }>();
  /** As of the latest publication. */
  #clusters: Derived<Cluster> = { of: undefined, all: new Map() };
  #relationships: { readonly of: unknown; readonly all: readonly Relationship[] } = { of: undefined, all: [] };
  #own: ReadonlyMap<string, OpenedObject> = new Map();
  #receivedItems: CollectionState<ObjectRecord>["items"] = OrderedMap.of();
  #objects = OrderedMap.of<OpenedObject>();
  /** Those of them that are no exports: what clusters say for the global plane to act on. */
  #statements = OrderedMap.of<OpenedObject>();
  readonly #counts = new Map<string, number>();

  constructor(options: FederationStateOptions) {
    this.#options = options;
    const { catalog } = options;
    const views = {
      regions: catalog.resources("Region").view(),
      clusters: catalog.resources("Cluster").view(),
      trustDomains: catalog.resources("TrustDomain").view(),
      relationships: catalog.resources("Relationship").view(),
      policies: catalog.resources("TrafficPolicy").view(),
    };
    const received = catalog.objects.view();
    const deletions = catalog.deletions.view();
    this.#views = [...Object.values(views), deletions, received];
    this.#received = received.state;
    this.#deletions = deletions.state;
    this.resources = {
      regions: views.regions.state,
      clusters: views.clusters.state,
      trustDomains: views.trustDomains.state,
      relationships: views.relationships.state,
      policies: views.policies.state,
    };
  }

  /** True from the moment at which everything has been read and published once. */
  get ready(): Watched<boolean> {
    return this.#ready;
  }

  get relationships(): readonly Relationship[] {
    const { items } = this.resources.relationships.current;
    if (this.#relationships.of !== items) this.#relationships = { of: items, all: [...items.values()].map((stored) => stored.value) };
    return this.#relationships.all;
  }

  /** True when both authorities have signed the present form and its date has not passed. */
  readonly isActive = (relationship: Relationship): boolean => this.#approved.isActive(relationship, (name) => this.trustDomain(name), this.#options.clock.nowMs());

  trustDomain(name: string): TrustDomain | undefined {
    return this.resources.trustDomains.current.items.get(name)?.value;
  }

  /** What clusters have brought, for `changesBrought`; exports, which change nothing there, are left out. */
  get brought(): BroughtView {
    return {
      objects: [...this.#statements.values()].map((object) => object.payload),
      relationship: (name) => this.resources.relationships.current.items.get(name)?.value,
      trustDomain: (name) => this.trustDomain(name),
    };
  }

  /** As long as each of these is the same, so is what `brought` changes. */
  get broughtBasis(): readonly unknown[] {
    return [this.#statements, this.resources.relationships.current.items, this.resources.trustDomains.current.items];
  }

  objectsOf(origin: string): { readonly count: number; readonly has: (id: string) => boolean } {
    return { count: this.#counts.get(origin) ?? 0, has: (id) => this.#objects.has(id) };
  }

  /** Everything that registered clusters export. */
  get exports(): readonly ExportedService[] {
    return [...this.publication.current.objects.values()].flatMap((object) => this.#serviceOf(object) ?? []);
  }

  /** Follows the store until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const states: readonly Watched<unknown>[] = this.#parts();
    await runTasks(
      [
        ...this.#views.map((view) => this.#options.follow(view.run)),
        ...states.map((state) => async (inner: AbortSignal) => {
          for await (const _ of state.changes(inner)) this.publish();
        }),
      ],
      signal,
    );
  }

  /** All that a publication is made of. */
  #parts(): readonly Watched<{ readonly loaded: boolean }>[] {
    return [...Object.values(this.resources), this.#deletions, this.#received];
  }

  /** Publishes the present state; also called when the signing key is new. O(changes), and all that clusters said when a Cluster has changed. */
  publish(): void {
    if (!this.#parts().every((state) => state.current.loaded)) return;
    const { resources } = this;
    const own = this.#options.own.of(resources, this.#deletions.current);
    for (const id of changedKeys(this.#own, own)) this.#set(id, own.get(id));
    this.#own = own;
    this.#takeReceived(this.#received.current.items);
    this.publication.set({ revision: Math.max(revisionOf(resources), this.#deletions.current.revision, this.#received.current.revision), objects: this.#objects });
    if (this.clusters.current !== this.#clusters.all) this.clusters.set(this.#clusters.all);
    this.#ready.set(true);
  }

  #takeReceived(items: CollectionState<ObjectRecord>["items"]): void {
    const clusters = this.resources.clusters.current.items;
    const isSame = this.#clusters.of === clusters;
    if (!isSame) this.#clusters = { of: clusters, all: new Map([...clusters].map(([id, stored]) => [id, stored.value])) };
    for (const id of isSame ? changedKeys(this.#receivedItems, items) : new Set([...this.#receivedItems.keys(), ...items.keys()])) {
      const record = items.get(id)?.value;
      const object = record === undefined ? undefined : this.#open(record);
      const isPublished = record !== undefined && object !== undefined && this.#isBringable(object, this.#clusters.all.get(record.origin));
      this.#count(id, isPublished ? object : undefined);
      this.#set(id, isPublished ? object : undefined);
    }
    this.#receivedItems = items;
  }

  #count(id: string, object: OpenedObject | undefined): void {
    const before = this.#objects.get(id)?.payload;
    if (before !== undefined) this.#counts.set(before.origin, (this.#counts.get(before.origin) ?? 0) - 1);
    const after = object?.payload;
    if (after !== undefined) this.#counts.set(after.origin, (this.#counts.get(after.origin) ?? 0) + 1);
    if (object !== undefined && after?.kind !== "ServiceExport") this.#statements = this.#statements.with(id, object);
    else this.#statements = this.#statements.without(id);
  }

  #set(id: string, object: OpenedObject | undefined): void {
    this.#objects = object === undefined ? this.#objects.without(id) : this.#objects.with(id, object);
  }

  /** What a deleted cluster said is not passed on, nor what its Cluster no longer allows it to say. */
  #isBringable(object: OpenedObject, cluster: Cluster | undefined): boolean {
    if (cluster === undefined) return false;
    const known = this.#judged.get(object);
    if (known?.cluster === cluster) return known.may;
    const may = mayBring(cluster, object.payload);
    this.#judged.set(object, { cluster, may });
    return may;
  }

  #open(record: ObjectRecord): OpenedObject | undefined {
    let known = this.#opened.get(record);
    if (known === undefined) {
      known = { object: this.#read(record, () => openObject(decodeSignedObject(record.signed))) };
      this.#opened.set(record, known);
    }
    return known.object;
  }

  #serviceOf(object: OpenedObject): ExportedService | undefined {
    if (object.payload.kind !== "ServiceExport" || object.payload.tombstone) return undefined;
    let known = this.#services.get(object);
    if (known === undefined) {
      known = { service: this.#read(object.payload, () => parseExportedService(object.payload.value)) };
      this.#services.set(object, known);
    }
    return known.service;
  }

  /** One unreadable object must not keep the others from being published. */
  #read<T>(what: { readonly origin: string; readonly kind: string; readonly key: string }, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!isAtollError(error)) throw error;
      this.#options.logger.warn("A stored object of a cluster cannot be read and is left out.", { objectId: objectId(what), reason: describeError(error) });
      return undefined;
    }
  }
}
