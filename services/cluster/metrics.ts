import { Counter } from "prom-client";
import { addAdmissionMetrics } from "#federation/telemetry/admission-metrics.ts";
import type { PlaneAdmission } from "#federation/admin-api/plane-admission.ts";
import { addReplicationMetrics, type ReplicationReports } from "#federation/replication/shell/replication-metrics.ts";
import type { ClosedRole } from "#federation/model/closed-role.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { addNameMetrics, type NameCounts } from "#federation/telemetry/name-metrics.ts";
import { addGauge as addReadGauge } from "#federation/telemetry/read-metrics.ts";
import { addRelationshipEnds } from "#federation/telemetry/relationship-metrics.ts";
import type { UnreachedByCluster } from "#federation/model/unreached-cluster.ts";
import type { CanaryRow } from "./discovery/canary/canary-rows.ts";
import { addFederatedMetrics, type FetchCounter } from "./federated-bundles/federated-metrics.ts";
import type { FederatedRow } from "./federated-bundles/federated-rows.ts";
import { addGauge, createPlaneMetrics, type PlaneMetrics } from "#federation/telemetry/plane-metrics.ts";

/** What the leading plane of a cluster shows while its term lasts. */
export interface ClusterReports extends ReplicationReports {
  readonly streams: () => number;
  readonly silentProxies: () => number;
  readonly endpoints: () => number;
  readonly sessions: () => number;
  readonly unknownEndpoints: () => number;
  readonly imports: () => number;
  /** Instances whose disks do not take what they know. */
  readonly unwritten: () => number;
  readonly clocksApart: () => number;
  /** Other clusters of which instances reach no gateway, with how many say so. */
  readonly unreached: () => readonly UnreachedByCluster[];
  /** Since what is held of each other cluster was last known to be all of it, in ms, as far as anybody knows. */
  readonly originAgesMs: () => Iterable<readonly [origin: string, ageMs: number]>;
  readonly relationships: () => number;
  /** Of each trust domain that is believed here, the keys that may sign its JWT-SVIDs. */
  readonly jwtAuthorities: () => Iterable<readonly [trustDomain: string, authorities: number]>;
  /** Those that its bound left out, of all trust domains. */
  readonly jwtAuthoritiesLeftOut: () => number;
  /** Of each relationship that has effect here, by name, when that ends, in wall-clock ms. */
  readonly relationshipEnds: () => Iterable<readonly [name: string, endMs: number]>;
  readonly federated: () => readonly FederatedRow[];
  /** Policies that not every proxy is told of. */
  readonly policyTrials: () => readonly CanaryRow[];
  /** Questions about rollouts that wait now. */
  readonly rolloutWaiters: () => number;
  /** Absent before its port is open. */
  readonly admission?: PlaneAdmission;
  /** The names that are dialled here. */
  readonly names: NameCounts;
}

/** The metrics of a cluster plane's process; `reports` is set for each term of leadership and taken away after it. */
export interface ClusterMetrics extends PlaneMetrics {
  readonly svidsIssued: Counter<"kind">;
  readonly joinRefused: Counter<"reason">;
  readonly registrationsRefused: Counter;
  readonly discoveryNacks: Counter<"type">;
  readonly renewalFailures: Counter<"certificate">;
  readonly ownBundlesRefused: Counter;
  readonly federatedFetches: FetchCounter;
  reports: ClusterReports | undefined;
}

/** Registers them once for the life of the process: terms come and go. Ends and beginnings in `facts` are wall-clock ms. */
export function createClusterMetrics(
  cluster: string,
  clock: Clock,
  facts: { readonly planeCertificateMs: () => number; readonly intermediateMs: () => number; readonly jwtKeySinceMs: () => number; readonly closedRoles: () => readonly ClosedRole[] },
): ClusterMetrics {
  const plane = createPlaneMetrics({ plane: cluster }, clock);
  const { registry } = plane;
  const registers = [registry];
  const metrics: ClusterMetrics = {
    ...plane,
    svidsIssued: new Counter({ name: "atoll_svids_issued_total", help: "SVIDs issued to proxies: first ones by token, renewed ones, and JWT-SVIDs (kind jwt).", labelNames: ["kind"], registers }),
    joinRefused: new Counter({ name: "atoll_join_refused_total", help: "Requests for credentials that were refused, by code.", labelNames: ["reason"], registers }),
    registrationsRefused: new Counter({ name: "atoll_registrations_refused_total", help: "Reports of instances that the registry refused.", registers }),
    discoveryNacks: new Counter({ name: "atoll_discovery_nacks_total", help: "Responses that proxies refused, by resource type.", labelNames: ["type"], registers }),
    renewalFailures: new Counter({ name: "atoll_renewal_failures_total", help: "Renewals of this plane's own certificates that failed.", labelNames: ["certificate"], registers }),
    ownBundlesRefused: new Counter({ name: "atoll_own_bundles_refused_total", help: "Bundles of this cluster's own trust domain that were not taken up: not signed by its authority, not readable, or older.", registers }),
    federatedFetches: addFederatedMetrics(registry, () => metrics.reports?.federated() ?? []),
    reports: undefined,
  };
  addReplicationMetrics(registry, () => metrics.reports, clock);
  addGauge(registry, "atoll_leader", "1 while this replica leads its cluster, and its store has confirmed that lately.", () => (metrics.reports?.isCertain() === true ? 1 : 0));
  addGauge(registry, "atoll_discovery_streams", "Proxies that follow this plane.", () => metrics.reports?.streams() ?? 0);
  addGauge(registry, "atoll_proxies_silent", "Proxies that are not heard and have not taken their leave: they may route by what they were told.", () => metrics.reports?.silentProxies() ?? 0);
  addGauge(registry, "atoll_endpoints", "Instances that the registry knows.", () => metrics.reports?.endpoints() ?? 0);
  addGauge(registry, "atoll_endpoints_unknown", "Instances without a live session that were ready when they were heard last.", () => metrics.reports?.unknownEndpoints() ?? 0);
  addGauge(registry, "atoll_sessions", "Instances with a live session.", () => metrics.reports?.sessions() ?? 0);
  addGauge(registry, "atoll_imports", "Services of other clusters that are visible here.", () => metrics.reports?.imports() ?? 0);
  addGauge(registry, "atoll_unwritten_instances", "Instances whose proxies cannot write the newest of what they know to their disks.", () => metrics.reports?.unwritten() ?? 0);
  addGauge(registry, "atoll_proxies_clock_apart", "Proxies whose clocks are thirty seconds or more from this plane's.", () => metrics.reports?.clocksApart() ?? 0);
  addReadGauge(registry, {
    name: "atoll_unreached_instances",
    help: "Instances that reach no gateway of another cluster, as they said last; no value where all do.",
    labels: ["cluster"],
    read: (add) => {
      for (const { cluster: unreached, instances } of metrics.reports?.unreached() ?? []) add({ cluster: unreached }, instances);
    },
  });
  addReadGauge(registry, {
    name: "atoll_origin_age_seconds",
    help: "Since what is held of another cluster was last known to be all that it says; no value while nobody knows.",
    labels: ["origin"],
    read: (add) => {
      for (const [origin, ageMs] of metrics.reports?.originAgesMs() ?? []) add({ origin }, ageMs / 1_000);
    },
  });
  addGauge(registry, "atoll_relationships", "Relationships that have effect here.", () => metrics.reports?.relationships() ?? 0);
  addReadGauge(registry, {
    name: "atoll_jwt_authorities",
    help: "Keys by which JWT-SVIDs of a trust domain are believed here.",
    labels: ["trust_domain"],
    read: (add) => {
      for (const [trustDomain, authorities] of metrics.reports?.jwtAuthorities() ?? []) add({ trust_domain: trustDomain }, authorities);
    },
  });
  addGauge(registry, "atoll_jwt_authorities_left_out", "Keys of JWT-SVIDs that are not believed here because their trust domain has more than a bundle holds.", () => metrics.reports?.jwtAuthoritiesLeftOut() ?? 0);
  addGauge(registry, "atoll_jwt_key_since_timestamp_seconds", "When the present key of this plane began to sign JWT-SVIDs; it is a week old at most while its successors can become known.", () => facts.jwtKeySinceMs() / 1_000);
  addGauge(registry, "atoll_plane_certificate_expiry_timestamp_seconds", "When this plane's own certificate ends.", () => facts.planeCertificateMs() / 1_000);
  addGauge(registry, "atoll_intermediate_expiry_timestamp_seconds", "When this cluster's intermediate ends, and with it the issue of SVIDs.", () => facts.intermediateMs() / 1_000);
  addReadGauge(registry, {
    name: "atoll_plane_role_closed",
    help: "1 for each role of this plane whose key's files are damaged or missing: signer, issuing, signing; no value of one that is open.",
    labels: ["role"],
    read: (add) => {
      for (const { role } of facts.closedRoles()) add({ role }, 1);
    },
  });
  addGauge(registry, "atoll_rollout_waiters", "Questions of how far a write has come that wait for an answer.", () => metrics.reports?.rolloutWaiters() ?? 0);
  addAdmissionMetrics(registry, () => metrics.reports?.admission?.kinds ?? []);
  addReadGauge(registry, {
    name: "atoll_policy_stopped",
    help: "1 for each policy that a proxy which was told of it first did not bear, or of which none said anything (cause left or silent: it is tried again), so that the others keep the one before.",
    labels: ["policy", "generation", "proxy", "cause"],
    read: (add) => {
      for (const { id, generation, state, proxies, cause = "" } of metrics.reports?.policyTrials() ?? []) {
        if (state === "stopped") add({ policy: id, generation: generation === undefined ? "" : `${generation.epoch}.${generation.revision}`, proxy: proxies.join(","), cause }, 1);
      }
    },
  });
  addGauge(registry, "atoll_policies_held_back", "Policies that not every proxy is told of: tried, waiting for a trial, or stopped.", () => metrics.reports?.policyTrials().length ?? 0);
  addRelationshipEnds(registry, () => metrics.reports?.relationshipEnds() ?? []);
  addNameMetrics(registry, () => metrics.reports?.names);
  return metrics;
}
