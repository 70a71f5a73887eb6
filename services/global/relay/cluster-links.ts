import type { Bus } from "#federation/bus/bus.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { clusterObjectsMax } from "#federation/model/cluster-limits.ts";
import { noStaleOrigins, staleOriginsOf, type StaleOrigins } from "#federation/model/stale-origins.ts";
import type { Cluster } from "#federation/model/resource.ts";
import { globalOrigin, objectId, type ObjectPayload, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { ShownPosition, StoreHistory } from "#federation/model/store-standing.ts";
import type { ReceiverLag } from "#federation/replication/core/publisher.ts";
import type { BrakeRules } from "#federation/replication/core/withdrawal-brake.ts";
import { CatalogReplicaStore, forgetReplica } from "#federation/replication/shell/catalog-replica-store.ts";
import type { HeldWithdrawals } from "#federation/replication/shell/held-withdrawals.ts";
import type { Incarnation } from "#federation/replication/shell/incarnation.ts";
import { linkSubjects, runPublisher, type StandingOf } from "#federation/replication/shell/run-publisher.ts";
import { runReceiver, type ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { runTasks, untilAborted } from "#federation/runtime/lifecycle.ts";
import type { Random } from "#federation/runtime/random.ts";
import { runEach } from "#federation/runtime/run-each.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ObjectSigner, VerifyChain } from "#federation/wire/signed-object.ts";
import { mayBring } from "./brought-objects.ts";
import { isOfferedTo, type OfferContext } from "./offers.ts";
import { waitForOrigins } from "./origins-told.ts";

export interface ClusterLinksOptions {
  readonly federation: string;
  readonly epoch: number;
  /** Higher at each start of a leader. */
  readonly term: number;
  readonly bus: Bus;
  readonly catalog: Catalog;
  readonly clusters: Watched<ReadonlyMap<string, Cluster>>;
  readonly objects: Watched<{ readonly revision: number; readonly objects: ReadonlyMap<string, OpenedObject> }>;
  readonly offerContext: () => OfferContext;
  /** Objects kept of an origin. */
  readonly objectsOf: (origin: string) => { readonly count: number; readonly has: (objectId: string) => boolean };
  readonly signer: () => ObjectSigner;
  readonly verifyChain: VerifyChain;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** What this plane is told from another of its name by. */
  readonly incarnation?: Incarnation;
  /** The store may lack what clusters had told it: nobody is offered anything before they have told it again. */
  readonly waitsForOrigins?: boolean;
  /** Told when a cluster shows what this plane had published and does not know any more: see `PublisherOptions`. */
  readonly history?: () => StoreHistory;
  readonly onBehind?: (behind: ShownPosition) => void;
}

/** What a trust domain's authority said of rights ends at its cluster's word. Clusters sign their deletions, so nothing goes for being little. */
const clusterBrake: BrakeRules = { rightsKinds: ["TrustDomain", "RelationshipApproval"], freeMax: 0 };

/** How long it counts as known which clusters are stale, in ms: one look serves the heartbeats of all links. */
const staleKeptMs = 500;

/** The links of the leading global plane: for each cluster one stream of what it exports, up, and one of what it is offered, down. */
export class ClusterLinks {
  readonly lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  readonly statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  /** What each cluster has acknowledged of an object, by the cluster's id. */
  readonly standings = new Map<string, StandingOf>();
  /** What is held back of what each cluster has withdrawn, by the cluster's id. */
  readonly withdrawals = new Map<string, HeldWithdrawals>();
  readonly #options: ClusterLinksOptions;
  #stale: StaleOrigins = noStaleOrigins;
  #staleAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClusterLinksOptions) {
    this.#options = options;
  }

  /**
   * Opens a link for each cluster that there is, and closes it when the cluster is deleted or made anew; what it had said is forgotten then,
   * since its next life counts its positions from the beginning, and they would be taken for those of a store that was rolled back.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { waitsForOrigins = false, clusters, clock, logger } = this.#options;
    const over = new AbortController();
    const told = waitsForOrigins ? waitForOrigins({ clusters: () => clusters.current.keys(), statuses: this.statuses, clock, logger }, AbortSignal.any([signal, over.signal])) : Promise.resolve();
    // Whoever waits for it hears of its end.
    told.catch(() => undefined);
    try {
      await runEach(
        clusters,
        {
          lifeOf,
          run: async (id, { spec: { trustDomain } }, inner) => await this.#runLink({ id, trustDomain, told }, inner),
          ended: async (id, _next, inner) => await this.#forget(id, inner),
        },
        signal,
      );
    } finally {
      over.abort();
    }
  }

  /** Since what is held of a cluster was last known to be all of it, in ms; undefined while that has not been known. */
  wholeAgeMs(id: string): number | undefined {
    const wholeAt = this.statuses.current.get(id)?.wholeAtMonotonicMs;
    return wholeAt === undefined ? undefined : this.#options.clock.monotonicMs() - wholeAt;
  }

  /** Each cluster is told it with each heartbeat. */
  #staleOrigins(): StaleOrigins {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#staleAtMs >= staleKeptMs) {
      this.#staleAtMs = nowMs;
      this.#stale = staleOriginsOf(Array.from(this.#options.clusters.current.keys(), (id) => [id, this.wholeAgeMs(id)]));
    }
    return this.#stale;
  }

  /** Whether a cluster is to be told of an object. */
  offers(id: string, payload: ObjectPayload): boolean {
    const cluster = this.#options.clusters.current.get(id);
    return cluster !== undefined && isOfferedTo(cluster, payload, this.#options.offerContext());
  }

  /** What an object's offer to a cluster depends on, besides the object: the cluster, and which relationships there are and what holds of them. */
  #basisOf(id: string): readonly unknown[] {
    const { relationships, inForce } = this.#options.offerContext();
    return [this.#options.clusters.current.get(id), ...relationships, ...relationships.map(inForce)];
  }

  async #forget(id: string, signal: AbortSignal): Promise<void> {
    const { catalog, logger } = this.#options;
    try {
      await forgetReplica({ catalog, publisher: id, origin: id, isFrom: (record) => record.origin === id }, signal);
    } catch (error) {
      if (!isAtollError(error)) throw error;
      logger.warn("What a deleted cluster had said could not be forgotten: joined anew, it needs an epoch above its last.", { clusterId: id, reason: describeError(error) });
    }
  }

  async #runLink({ id, trustDomain, told }: { readonly id: string; readonly trustDomain: string; readonly told: Promise<void> }, signal: AbortSignal): Promise<void> {
    const { federation, epoch, term, bus, catalog, objects, signer, verifyChain, clock, random, logger, incarnation, history, onBehind } = this.#options;
    const common = { bus, clock, logger: logger.child({ clusterId: id }) };
    await runTasks(
      [
        (inner) =>
          runReceiver(
            {
              ...common,
              names: { federation, publisher: id, audience: globalOrigin },
              publisherTrustDomain: trustDomain,
              subjects: linkSubjects("up", id),
              origins: "publisher",
              admits: (payload) => this.#admits(id, payload),
              brake: clusterBrake,
              verifyChain,
              store: new CatalogReplicaStore({ catalog, publisher: id, origin: id, isFrom: (record) => record.origin === id, clock }),
              statuses: this.statuses,
              withdrawals: this.withdrawals,
            },
            inner,
          ),
        async (inner) => {
          await Promise.race([told, untilAborted(inner)]);
          if (inner.aborted) return;
          await runPublisher(
            {
              ...common,
              random,
              names: { federation, publisher: globalOrigin, audience: id },
              publisherTrustDomain: federation,
              subjects: linkSubjects("down", id),
              epoch,
              term,
              objects,
              staleOrigins: () => this.#staleOrigins(),
              offer: { offers: (payload) => this.offers(id, payload), basis: () => this.#basisOf(id) },
              signer,
              lags: this.lags,
              standings: this.standings,
              ...(incarnation === undefined ? {} : { incarnation }),
              verifyChain,
              ...(history === undefined ? {} : { history }),
              ...(onBehind === undefined ? {} : { onBehind }),
            },
            inner,
          );
        },
      ],
      signal,
    );
  }

  /** What the cluster may say, as long as it does not say too much. */
  #admits(id: string, payload: ObjectPayload): boolean {
    const cluster = this.#options.clusters.current.get(id);
    if (cluster === undefined || !mayBring(cluster, payload)) return false;
    const kept = this.#options.objectsOf(id);
    return kept.count < clusterObjectsMax || kept.has(objectId(payload));
  }
}

/** Which registration of a cluster that is; another after it was deleted and made anew, or became another trust domain's. */
function lifeOf({ spec, metadata }: Cluster): string {
  return `${spec.trustDomain} ${metadata.createdAt ?? ""}`;
}
