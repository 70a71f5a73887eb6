import type { ClusterStatus, ProxyRow, ServiceRow } from "#federation/admin-api/status.ts";
import type { SeenEngines } from "#federation/model/engine-report.ts";
import type { InstanceOverload } from "#federation/model/overload.ts";
import type { InstanceClock } from "#federation/model/clock-offset.ts";
import type { InstanceUnwritten } from "#federation/model/instance-unwritten.ts";
import { freshAgeMsMax } from "#federation/model/stale-origins.ts";
import { unreachedByCluster, type InstanceUnreached } from "#federation/model/unreached-cluster.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import type { UnfollowedCollection } from "#federation/model/unfollowed-collection.ts";
import type { NameRow } from "#federation/runtime/dns/dialled-names.ts";
import type { Place } from "#federation/model/snapshot.ts";
import { backupsField, type BackupRow } from "#federation/admin-api/backup-row.ts";
import { apiOverloadsField, type PlaneOverload } from "#federation/admin-api/plane-admission.ts";
import { enginesField } from "#federation/admin-api/engine-rows.ts";
import { unfollowedField } from "#federation/admin-api/unfollowed-rows.ts";
import { unwritableField } from "#federation/admin-api/unwritable-rows.ts";
import type { WriteFailure } from "#federation/runtime/write-failures.ts";
import { placeAges } from "#federation/admin-api/place-ages.ts";
import { doubledField, type PlaneIncarnation } from "#federation/admin-api/plane-incarnation.ts";
import type { Doubled } from "#federation/replication/core/incarnations.ts";
import type { RefusedObject } from "#federation/replication/core/refused-objects.ts";
import type { ClosedRole } from "#federation/model/closed-role.ts";
import type { ClusterState } from "../cluster-state.ts";
import type { FederatedRow } from "../federated-bundles/federated-rows.ts";
import { endpointCounts } from "./routing-question.ts";
import { buildServices } from "../discovery/build-resources.ts";
import type { CanaryRow } from "../discovery/canary/canary-rows.ts";
import type { ConnectedProxy } from "../discovery/discovery-service.ts";
import type { LostProxy } from "../discovery/lost-proxies.ts";

/** Since what is held of a cluster was last known to be all of it, in ms; undefined when nobody knows. */
export type HeldAge = (cluster: string) => number | undefined;

/** What the status page of a cluster is made of, besides its state. */
export interface ClusterStatusFacts {
  readonly generation: { readonly epoch: number; readonly revision: number };
  /** Since the global plane was last heard; undefined when it never was. */
  readonly heardAgeMs: number | undefined;
  readonly heldAgeMs: HeldAge;
  /** It applies nothing of ours any more, since our store was seen behind what it had told. */
  readonly refusesUs: boolean;
  /** Wall-clock ms since when the global plane's store is known to be behind what it had told. */
  readonly behindSinceMs: number | undefined;
  /** Present while two processes speak as the global plane. */
  readonly doubled?: Doubled | undefined;
  /** Objects that the global plane has withdrawn and that are held all the same. */
  readonly withdrawalsHeld: number;
  /** Objects of ours that the global plane goes on refusing. */
  readonly refused: readonly RefusedObject[];
  /** 0 without one that can be used. */
  readonly intermediateNotAfterMs: number;
  readonly closedRoles: readonly ClosedRole[];
  readonly signer: "own" | "remote";
  readonly proxies: readonly ConnectedProxy[];
  /** Those that are not heard and have not taken their leave. */
  readonly silentProxies: readonly LostProxy[];
  /** Policies that not every proxy is told of. */
  readonly policyTrials: readonly CanaryRow[];
  readonly overloads: readonly InstanceOverload[];
  readonly unreached: readonly InstanceUnreached[];
  readonly unwritten: readonly InstanceUnwritten[];
  /** Those that are apart from this plane's. */
  readonly clocks: readonly InstanceClock[];
  readonly names: readonly NameRow[];
  readonly store: StoreStanding;
  /** Wall-clock ms of the last answer of a store that is away. */
  readonly storeAwaySinceMs: number | undefined;
  /** What is not heard of in a store that answers. */
  readonly unfollowed: readonly UnfollowedCollection[];
  readonly writeFailures: readonly WriteFailure[];
  readonly incarnation?: PlaneIncarnation | undefined;
  readonly backups?: BackupRow | undefined;
  readonly bundleEndpoint?: ClusterStatus["bundleEndpoint"];
  readonly federated: readonly FederatedRow[];
  readonly engines?: SeenEngines | undefined;
  readonly apiOverloads: readonly PlaneOverload[];
}

/** Policies that are held back, named in one answer. */
const policyTrialsShownMax = 100;

/** Instances whose disks take nothing, or whose clocks are wrong, named in one answer. */
const instancesShownMax = 100;

/** This cluster as its own plane sees it: complete without anybody else. Pure. */
export function clusterStatus(state: ClusterState, facts: ClusterStatusFacts, nowMs: number): ClusterStatus {
  const { self } = state;
  const endpoints = [...state.endpoints.values()];
  const { heardAgeMs } = facts;
  return {
    cluster: self.cluster,
    region: self.region,
    trustDomain: self.trustDomain,
    federation: self.federation as ClusterStatus["federation"],
    asOfMs: Math.floor(nowMs),
    generation: facts.generation,
    globalPlane: {
      connected: heardAgeMs !== undefined && heardAgeMs <= freshAgeMsMax,
      ...(heardAgeMs === undefined ? {} : { heardAgeMs: Math.floor(heardAgeMs) }),
      ...(facts.refusesUs ? { refusesUs: true } : {}),
      ...(facts.behindSinceMs === undefined ? {} : { behindSinceMs: facts.behindSinceMs }),
      ...doubledField(facts.doubled),
      ...(facts.withdrawalsHeld === 0 ? {} : { withdrawalsHeld: facts.withdrawalsHeld }),
      ...(facts.refused.length === 0 ? {} : { refused: [...facts.refused] }),
    },
    identity: { intermediateNotAfterMs: Math.floor(facts.intermediateNotAfterMs), signer: facts.signer, ...(facts.closedRoles.length === 0 ? {} : { closedRoles: [...facts.closedRoles] }) },
    ...(facts.bundleEndpoint === undefined ? {} : { bundleEndpoint: facts.bundleEndpoint }),
    ...(facts.federated.length === 0 ? {} : { federatedTrustDomains: [...facts.federated] }),
    endpoints: {
      ready: endpoints.filter((endpoint) => endpoint.attached && endpoint.record.ready).length,
      notReady: endpoints.filter((endpoint) => !endpoint.record.ready).length,
      unknown: endpoints.filter((endpoint) => !endpoint.attached && endpoint.record.ready).length,
    },
    services: serviceRows(state, facts.heldAgeMs, nowMs),
    proxies: [...facts.proxies.map((proxy) => proxyRow(proxy, facts.generation.revision)), ...facts.silentProxies.map(silentProxyRow)],
    names: facts.names.map((row) => ({ ...row, addresses: [...row.addresses] })),
    store: facts.store,
    ...(facts.storeAwaySinceMs === undefined ? {} : { storeAwaySinceMs: facts.storeAwaySinceMs }),
    ...unfollowedField(facts.unfollowed),
    ...unwritableField(facts.writeFailures),
    ...(facts.incarnation === undefined ? {} : { incarnation: facts.incarnation }),
    ...backupsField(facts.backups),
    ...enginesField(facts.engines),
    ...apiOverloadsField(facts.apiOverloads),
    ...(facts.policyTrials.length === 0 ? {} : { policyTrials: facts.policyTrials.slice(0, policyTrialsShownMax).map((row) => ({ ...row, proxies: [...row.proxies] })) }),
    ...unreachedField(facts.unreached),
    ...(facts.unwritten.length === 0 ? {} : { unwritten: facts.unwritten.slice(0, instancesShownMax).map((row) => ({ ...row })) }),
    ...(facts.clocks.length === 0 ? {} : { clocks: facts.clocks.slice(0, instancesShownMax).map((row) => ({ ...row })) }),
    overloads: facts.overloads.map((overload) => ({ ...overload })),
  };
}

function unreachedField(unreached: readonly InstanceUnreached[]): Pick<ClusterStatus, "unreached"> {
  if (unreached.length === 0) return {};
  return { unreached: unreachedByCluster(unreached).map((row) => ({ ...row, cluster: row.cluster as ClusterStatus["cluster"], named: [...row.named] })) };
}

function serviceRows(state: ClusterState, heldAgeMs: HeldAge, nowMs: number): ServiceRow[] {
  return [...buildServices(state).values()]
    .toSorted((a, b) => (a.host < b.host ? -1 : 1))
    .map(({ ref, places }) => ({ ...ref, places: places.map((place) => placeRow(place, heldAgeMs, nowMs)) }));
}

function placeRow(place: Place, heldAgeMs: HeldAge, nowMs: number): ServiceRow["places"][number] {
  const { cluster, region } = place;
  if (place.kind === "remote") {
    return { cluster, region, ...endpointCounts(place), ...placeAges({ changedAgeMs: nowMs - place.asOfMs, heldAgeMs: heldAgeMs(cluster) }) };
  }
  return { cluster, region, ...endpointCounts(place), ageMs: 0 };
}

const proxyModes = { gateway: "gateway", workload: "sidecar" } as const;

function proxyRow(proxy: ConnectedProxy, revision: number): ProxyRow {
  return {
    name: proxy.nodeId,
    identity: proxy.identity,
    mode: proxyModes[proxy.kind],
    connected: true,
    acknowledgedRevision: proxy.isLevel ? revision : 0,
    lagMs: Math.floor(proxy.unansweredMs),
    rejections: proxy.nacks,
    ...(proxy.lastNack === "" ? {} : { lastRejection: proxy.lastNack }),
  };
}

function silentProxyRow({ name, identity, kind, ageMs }: LostProxy): ProxyRow {
  return { name, identity, mode: proxyModes[kind], connected: false, heardAgeMs: Math.floor(ageMs), acknowledgedRevision: 0, lagMs: 0, rejections: 0 };
}
