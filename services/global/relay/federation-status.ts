import { relationshipRow } from "#federation/admin-api/relationship-row.ts";
import type { FederationStatus, ServiceRow } from "#federation/admin-api/status.ts";
import type { AuthorityCertificate } from "#federation/model/authority-certificate.ts";
import type { RelationshipStanding } from "#federation/model/relationship-terms.ts";
import type { Cluster, ExportedService, Relationship } from "#federation/model/resource.ts";
import type { SeenEngines } from "#federation/model/engine-report.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import type { UnfollowedCollection } from "#federation/model/unfollowed-collection.ts";
import type { NameRow } from "#federation/runtime/dns/dialled-names.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { freshAgeMsMax } from "#federation/model/stale-origins.ts";
import { backupsField, type BackupRow } from "#federation/admin-api/backup-row.ts";
import { enginesField } from "#federation/admin-api/engine-rows.ts";
import { apiOverloadsField, type PlaneOverload } from "#federation/admin-api/plane-admission.ts";
import { unfollowedField } from "#federation/admin-api/unfollowed-rows.ts";
import { unwritableField } from "#federation/admin-api/unwritable-rows.ts";
import type { WriteFailure } from "#federation/runtime/write-failures.ts";
import { placeAges } from "#federation/admin-api/place-ages.ts";
import { doubledField, type PlaneIncarnation } from "#federation/admin-api/plane-incarnation.ts";
import type { Doubled } from "#federation/replication/core/incarnations.ts";
import type { RefusedObject } from "#federation/replication/core/refused-objects.ts";

/** What is known of the link to one cluster. */
export interface LinkState {
  /** Since its last heartbeat; undefined when there never was one. */
  readonly heardAgeMs: number | undefined;
  /** Its clock less ours; undefined while that is not known. */
  readonly clockAheadMs?: number | undefined;
  /** Since what is held of it was last known to be all of it; undefined while that has not been known. */
  readonly wholeAgeMs?: number | undefined;
  readonly sentSeq: number;
  readonly acknowledgedSeq: number;
  readonly lagMs: number;
  /** It applies nothing any more, since our store was seen behind what it had told. */
  readonly refusesUs: boolean;
  /** Wall-clock ms since when its own store is known to be behind what it had told; undefined while it is not. */
  readonly behindSinceMs: number | undefined;
  /** Present while two processes speak under its name. */
  readonly doubled?: Doubled | undefined;
  /** Objects that it has withdrawn and that are held all the same. */
  readonly withdrawalsHeld: number;
  /** Objects that it is sent and goes on refusing. */
  readonly refused: readonly RefusedObject[];
}

export interface FederationView {
  readonly federation: TrustDomainName;
  readonly epoch: number;
  readonly isLeader: boolean;
  readonly clusters: readonly Cluster[];
  readonly relationships: readonly Relationship[];
  /** As `relationshipStanding`. */
  readonly standing: (relationship: Relationship) => RelationshipStanding;
  readonly exports: readonly ExportedService[];
  readonly links: ReadonlyMap<string, LinkState>;
  readonly names: readonly NameRow[];
  readonly store: StoreStanding;
  /** Wall-clock ms of the last answer of a store that is away. */
  readonly storeAwaySinceMs: number | undefined;
  /** What is not heard of in a store that answers. */
  readonly unfollowed: readonly UnfollowedCollection[];
  readonly writeFailures: readonly WriteFailure[];
  readonly incarnation?: PlaneIncarnation | undefined;
  readonly backups?: BackupRow | undefined;
  readonly engines?: SeenEngines | undefined;
  readonly apiOverloads: readonly PlaneOverload[];
  readonly authorities: readonly AuthorityCertificate[];
}

/** Three missed heartbeats: then a cluster no longer counts as connected. It is not down: its traffic does not pass here. */
export const connectedAgeMsMax = freshAgeMsMax;

/** What the global plane shows of the federation. Pure. */
export function federationStatus(view: FederationView, nowMs: number): FederationStatus {
  return {
    federation: view.federation,
    asOfMs: Math.floor(nowMs),
    epoch: view.epoch,
    leader: view.isLeader,
    clusters: view.clusters.map((cluster) => clusterRow(cluster, view)),
    services: serviceRows(view, nowMs),
    relationships: view.relationships.map((relationship) => relationshipRow(relationship, view.standing(relationship), nowMs)),
    names: view.names.map((row) => ({ ...row, addresses: [...row.addresses] })),
    store: view.store,
    ...(view.storeAwaySinceMs === undefined ? {} : { storeAwaySinceMs: view.storeAwaySinceMs }),
    ...unfollowedField(view.unfollowed),
    ...unwritableField(view.writeFailures),
    ...(view.incarnation === undefined ? {} : { incarnation: view.incarnation }),
    ...backupsField(view.backups),
    ...enginesField(view.engines),
    ...apiOverloadsField(view.apiOverloads),
    authorities: view.authorities.map((row) => ({ ...row })),
  };
}

function clusterRow(cluster: Cluster, view: FederationView): FederationStatus["clusters"][number] {
  const id = cluster.metadata.name;
  const link = view.links.get(id);
  return {
    id: id as FederationStatus["clusters"][number]["id"],
    region: cluster.spec.region,
    trustDomain: cluster.spec.trustDomain,
    connected: link?.heardAgeMs !== undefined && link.heardAgeMs <= connectedAgeMsMax,
    ...(link?.heardAgeMs === undefined ? {} : { heardAgeMs: Math.floor(link.heardAgeMs) }),
    ...(link?.clockAheadMs === undefined ? {} : { clockAheadMs: Math.round(link.clockAheadMs) }),
    sentSeq: link?.sentSeq ?? 0,
    acknowledgedSeq: link?.acknowledgedSeq ?? 0,
    lagMs: Math.floor(link?.lagMs ?? 0),
    ...(link?.refusesUs === true ? { refusesUs: true } : {}),
    ...(link?.behindSinceMs === undefined ? {} : { behindSinceMs: link.behindSinceMs }),
    ...doubledField(link?.doubled),
    ...(link === undefined || link.withdrawalsHeld === 0 ? {} : { withdrawalsHeld: link.withdrawalsHeld }),
    ...(link === undefined || link.refused.length === 0 ? {} : { refused: [...link.refused] }),
    servicesExported: view.exports.filter((exported) => exported.cluster === id).length,
    gateways: cluster.spec.gateways.map(({ address, port }) => ({ address, port })),
  };
}

/** Services by trust domain, namespace and name, with the places that export them. */
export function serviceRows({ exports, links }: Pick<FederationView, "exports" | "links">, nowMs: number): ServiceRow[] {
  const rows = new Map<string, ServiceRow>();
  for (const exported of exports.toSorted((a, b) => (a.cluster < b.cluster ? -1 : 1))) {
    const { trustDomain, namespace, name, cluster, region, endpointsReady, endpointsUnknown = 0, endpointsTotal, asOfMs } = exported;
    const key = `${trustDomain}/${namespace}/${name}`;
    const row = rows.get(key) ?? { trustDomain, namespace, name, places: [] };
    row.places.push({ cluster, region, endpointsReady, endpointsUnknown, endpointsTotal, ...placeAges({ changedAgeMs: nowMs - asOfMs, heldAgeMs: links.get(cluster)?.wholeAgeMs }) });
    rows.set(key, row);
  }
  return [...rows.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}
