import type { Catalog } from "#federation/catalog/catalog.ts";
import type { CollectionState, CollectionView } from "#federation/catalog/collection.ts";
import type { DeletionRecord, ObjectRecord } from "#federation/catalog/records.ts";
import type { Cluster, ExportedService, Relationship, TrustDomain } from "#federation/model/resource.ts";
import { parseExportedService } from "#federation/model/parse/parse-resource.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { runTasks, type Task } from "#federation/runtime/lifecycle.ts";
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
  #brought: ReadonlyMap<string, readonly OpenedObject[]> = new Map();
  #ids: ReadonlySet<string> = new Set();

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
    return [...this.resources.relationships.current.items.values()].map((stored) => stored.value);
  }

  /** True when both authorities have signed the present form and its date has not passed. */
  readonly isActive = (relationship: Relationship): boolean => this.#approved.isActive(relationship, (name) => this.trustDomain(name), this.#options.clock.nowMs());

  trustDomain(name: string): TrustDomain | undefined {
    return this.resources.trustDomains.current.items.get(name)?.value;
  }

  /** What clusters have brought, for `changesBrought`. */
  get brought(): BroughtView {
    return {
      objects: [...this.#brought.values()].flat().map((object) => object.payload),
      relationship: (name) => this.resources.relationships.current.items.get(name)?.value,
      trustDomain: (name) => this.trustDomain(name),
    };
  }

  objectsOf(origin: string): { readonly count: number; readonly has: (id: string) => boolean } {
    return { count: this.#brought.get(origin)?.length ?? 0, has: (id) => this.#ids.has(id) };
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

  /** Publishes the present state; also called when the signing key is new. */
  publish(): void {
    if (!this.#parts().every((state) => state.current.loaded)) return;
    const { resources } = this;
    const clusters = new Map([...resources.clusters.current.items].map(([id, stored]) => [id, stored.value]));
    const objects = new Map(this.#options.own.of(resources, this.#deletions.current));
    const brought = new Map<string, OpenedObject[]>();
    for (const { value } of this.#received.current.items.values()) {
      const object = this.#open(value);
      if (object === undefined || !this.#isBringable(object, clusters.get(value.origin))) continue;
      const list = brought.get(value.origin) ?? [];
      list.push(object);
      brought.set(value.origin, list);
      objects.set(objectId(object.payload), object);
    }
    this.#brought = brought;
    this.#ids = new Set(objects.keys());
    this.publication.set({ revision: Math.max(revisionOf(resources), this.#deletions.current.revision, this.#received.current.revision), objects });
    this.clusters.set(clusters);
    this.#ready.set(true);
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
