import type { Clock } from "#federation/runtime/clock.ts";
import type { EndpointRecord } from "#federation/model/endpoint.ts";
import { kinds, type Kind } from "#federation/model/resource.ts";
import { Attestations } from "./attestations.ts";
import { CatalogAccess, type CatalogOptions } from "./catalog-access.ts";
import type { CatalogOp, Collection, Stored } from "./collection.ts";
import { JoinTokens } from "./join-tokens.ts";
import { keys } from "./keys.ts";
import { ProvisioningTokens } from "./provisioning-tokens.ts";
import { recordCodecs } from "./record-codecs.ts";
import type { AppliedPosition, DeletionRecord, EpochRecord, HeartbeatRecord, MarkRecord, ObjectRecord, PolicyTellingRecord, ProxyRecord, RestoredRecord } from "./records.ts";
import { ResourceCollection } from "./resource-collection.ts";
import { StoreCollection } from "./store-collection.ts";

/**
 * All that a plane keeps in its store, by type: the one place that knows keys and encodings. Every write is durable
 * when its promise resolves, and fenced when the catalog was made with a fence.
 */
export class Catalog {
  /** Instances by `instanceId`. */
  readonly endpoints: Collection<EndpointRecord>;
  /** Signed objects as received, by `objectId`. */
  readonly objects: Collection<ObjectRecord>;
  /** The heartbeat of each publisher that shows the furthest position of its store, by publisher. */
  readonly heartbeats: Collection<HeartbeatRecord>;
  /** Applied positions by publisher. */
  readonly positions: Collection<AppliedPosition>;
  /** Resources that somebody has deleted, by `Kind/id`; see `DeletionRecord`. */
  readonly deletions: Collection<DeletionRecord>;
  /** What each process of the plane wrote last of all, by its instance id. */
  readonly marks: Collection<MarkRecord>;
  /** Positions of resources in the store that a restored backup was made of, by `Kind/id`; see `RestoredRecord`. */
  readonly restored: Collection<RestoredRecord>;
  /** What a cluster's proxies are told of the policy of each service, by namespace, name and trust domain of the service. */
  readonly policyTellings: Collection<PolicyTellingRecord>;
  /** A cluster's proxies that have not taken their leave, by a digest of who they are. */
  readonly proxies: Collection<ProxyRecord>;
  readonly joinTokens: JoinTokens;
  readonly provisioningTokens: ProvisioningTokens;
  readonly attestations: Attestations;
  readonly #epochs: Collection<EpochRecord>;
  readonly #access: CatalogAccess;
  readonly #resources: ReadonlyMap<Kind, ResourceCollection<Kind>>;

  constructor(options: CatalogOptions & { readonly clock: Clock }) {
    const access = new CatalogAccess(options);
    this.#access = access;
    this.#resources = new Map(kinds.map((kind) => [kind, new ResourceCollection(access, options.clock, kind)]));
    this.endpoints = new StoreCollection(access, keys.endpoints, recordCodecs.endpoint);
    this.objects = new StoreCollection(access, keys.objects, recordCodecs.object);
    this.heartbeats = new StoreCollection(access, keys.heartbeats, recordCodecs.heartbeat);
    this.positions = new StoreCollection(access, keys.positions, recordCodecs.position);
    this.deletions = new StoreCollection(access, keys.deletions, recordCodecs.deletion);
    this.marks = new StoreCollection(access, keys.marks, recordCodecs.mark);
    this.restored = new StoreCollection(access, keys.restored, recordCodecs.restored);
    this.policyTellings = new StoreCollection(access, keys.policyTellings, recordCodecs.policyTelling);
    this.proxies = new StoreCollection(access, keys.proxies, recordCodecs.proxy);
    this.#epochs = new StoreCollection(access, keys.meta, recordCodecs.epoch);
    this.joinTokens = new JoinTokens(access);
    this.provisioningTokens = new ProvisioningTokens(access);
    this.attestations = new Attestations(access);
  }

  /** The resources of one kind, by `namespace/name` or `name`; imports by `namespace/<service>.<origin cluster>`. */
  resources<K extends Kind>(kind: K): ResourceCollection<K> {
    return this.#resources.get(kind) as unknown as ResourceCollection<K>;
  }

  /**
   * Writes of several collections at one revision, which is the answer: all of them or none.
   * @throws {ATOLL_STORE_CONFLICT} when an `ifRevision` or the fence does not hold. @throws {ATOLL_STORE_FULL} beyond `transactionOpsMax`.
   */
  async commit(ops: readonly CatalogOp[], signal: AbortSignal): Promise<number> {
    return await this.#access.commit(ops, signal);
  }

  /** The epoch of this store's life; undefined in a new one. */
  async epoch(signal: AbortSignal): Promise<Stored<EpochRecord> | undefined> {
    return await this.#epochs.get("epoch", signal);
  }

  /** Begins an epoch. @throws {ATOLL_STORE_CONFLICT} when another replica did so first. */
  async setEpoch(record: EpochRecord, signal: AbortSignal): Promise<number> {
    const present = await this.#epochs.get("epoch", signal);
    return await this.#epochs.put("epoch", record, { ifRevision: present?.revision ?? 0 }, signal);
  }
}

/** The place of a signed object in `Catalog.objects`. */
export function objectId(object: Pick<ObjectRecord, "origin" | "kind" | "key">): string {
  return `${object.origin}/${object.kind}/${object.key}`;
}
