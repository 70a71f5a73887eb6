import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CollectionState, CollectionView, Stored } from "#federation/catalog/collection.ts";
import type { DeletionRecord, ObjectRecord } from "#federation/catalog/records.ts";
import type { RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Cluster, ExportedService, Relationship, RelationshipSpec, TrustDomain } from "#federation/model/resource.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
import { DerivedMap } from "#federation/runtime/derived-map.ts";
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
  readonly #clusters = new DerivedMap<Stored<Cluster>, Cluster>(({ value }) => value);
  /** What clusters have brought and is passed on. */
  readonly #brought = new DerivedMap<Stored<ObjectRecord>, OpenedObject>(({ value }) => this.#bringable(value));
  #relationships: { readonly of: unknown; readonly all: readonly Relationship[] } = { of: undefined, all: [] };
  #own: ReadonlyMap<string, OpenedObject> = new Map();
  /** Our own, and what was brought; as of the latest publication, as all below. */
  #objects = OrderedMap.of<OpenedObject>();
  /** What was brought and is no export: what clusters say for the global plane to act on. */
  #statements = OrderedMap.of<OpenedObject>();
  /** By origin, how much it has brought. */
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

  /** What holds of a relationship by both authorities' signatures, and what is missing to what is proposed; says nothing about its end. */
  readonly standing = (relationship: Relationship): RelationshipStanding => this.#approved.standing(relationship, (name) => this.trustDomain(name));

  /** The terms of a relationship that hold now; undefined when none do. */
  readonly inForce = (relationship: Relationship): RelationshipSpec | undefined => this.#approved.inForce(relationship, (name) => this.trustDomain(name), this.#options.clock.nowMs());

  get trustDomains(): readonly TrustDomain[] {
    return [...this.resources.trustDomains.current.items.values()].map((stored) => stored.value);
  }

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
    const { resources } = this;
    if (!this.#parts().every((state) => state.current.loaded)) {
      // What has been read so far is taken up by and by: all of it at once would keep the plane from everything else.
      if (resources.clusters.current.loaded) this.#takeBrought();
      return;
    }
    const own = this.#options.own.of(resources, this.#deletions.current);
    for (const id of changedKeys(this.#own, own)) this.#set(id, own.get(id));
    this.#own = own;
    const clusters = this.#takeBrought();
    this.publication.set({ revision: Math.max(revisionOf(resources), this.#deletions.current.revision, this.#received.current.revision), objects: this.#objects });
    if (this.clusters.current !== clusters) this.clusters.set(clusters);
    this.#ready.set(true);
  }

  /** Takes up what has been brought since the latest publication; answers the clusters by which it was judged. */
  #takeBrought(): ReadonlyMap<string, Cluster> {
    const before = { clusters: this.#clusters.current, brought: this.#brought.current };
    const clusters = this.#clusters.next(this.resources.clusters.current.items);
    const { items } = this.#received.current;
    const brought = clusters === before.clusters ? this.#brought.next(items) : this.#brought.anew(items);
    for (const id of changedKeys(before.brought, brought)) {
      const object = brought.get(id);
      this.#count(before.brought.get(id), -1);
      this.#count(object, 1);
      this.#statements = object === undefined || object.payload.kind === "ServiceExport" ? this.#statements.without(id) : this.#statements.with(id, object);
      this.#set(id, object);
    }
    return clusters;
  }

  #count(object: OpenedObject | undefined, step: 1 | -1): void {
    if (object === undefined) return;
    const { origin } = object.payload;
    this.#counts.set(origin, (this.#counts.get(origin) ?? 0) + step);
  }

  #set(id: string, object: OpenedObject | undefined): void {
    this.#objects = object === undefined ? this.#objects.without(id) : this.#objects.with(id, object);
  }

  /** What a deleted cluster said is not passed on, nor what its Cluster no longer allows it to say. */
  #bringable(record: ObjectRecord): OpenedObject | undefined {
    const object = this.#open(record);
    const cluster = this.#clusters.current.get(record.origin);
    if (object === undefined || cluster === undefined) return undefined;
    let known = this.#judged.get(object);
    if (known?.cluster !== cluster) {
      known = { cluster, may: mayBring(cluster, object.payload) };
      this.#judged.set(object, known);
    }
    return known.may ? object : undefined;
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
