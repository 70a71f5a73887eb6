import { Counter } from "prom-client";
import { addAdmissionMetrics } from "#federation/telemetry/admission-metrics.ts";
import type { PlaneAdmission } from "#federation/admin-api/plane-admission.ts";
import type { AuthorityCertificate } from "#federation/model/authority-certificate.ts";
import { addReplicationMetrics, type ReplicationReports } from "#federation/replication/shell/replication-metrics.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { addNameMetrics, type NameCounts } from "#federation/telemetry/name-metrics.ts";
import { addRelationshipEnds } from "#federation/telemetry/relationship-metrics.ts";
import { addGauge, createPlaneMetrics, type PlaneMetrics } from "#federation/telemetry/plane-metrics.ts";

/** What the leading plane shows while its term lasts. */
export interface GlobalReports extends ReplicationReports {
  readonly clusterCount: () => number;
  /** Of each relationship that both sides have agreed on, by name, when what holds of it ends, in wall-clock ms. */
  readonly relationshipEnds: () => Iterable<readonly [name: string, endMs: number]>;
  /** Questions about rollouts that wait now. */
  readonly rolloutWaiters: () => number;
  /** Absent before its port is open. */
  readonly admission?: PlaneAdmission;
  /** Wall-clock ms. */
  readonly certificateNotAfterMs: () => number;
  /** Of the federation's trust domains. */
  readonly authorities: () => readonly AuthorityCertificate[];
  /** The names that are dialled here. */
  readonly names: NameCounts;
}

/** The metrics of the global plane's process; `reports` is set for each term of leadership and taken away after it. */
export interface GlobalMetrics extends PlaneMetrics {
  readonly joinRefused: Counter<"reason">;
  readonly certificatesIssued: Counter<"kind">;
  reports: GlobalReports | undefined;
}

/** Registers them once for the life of the process: terms come and go. */
export function createGlobalMetrics(clock: Clock): GlobalMetrics {
  const plane = createPlaneMetrics({ plane: "global" }, clock);
  const { registry } = plane;
  const metrics: GlobalMetrics = {
    ...plane,
    joinRefused: new Counter({ name: "atoll_join_refused_total", help: "Attempts to join that were refused, by code.", labelNames: ["reason"], registers: [registry] }),
    certificatesIssued: new Counter({ name: "atoll_plane_certificates_issued_total", help: "Certificates of cluster planes issued, first ones and renewed ones.", labelNames: ["kind"], registers: [registry] }),
    reports: undefined,
  };
  addReplicationMetrics(registry, () => metrics.reports, clock);
  addGauge(registry, "atoll_leader", "1 while this replica leads, and its store has confirmed that lately.", () => (metrics.reports?.isCertain() === true ? 1 : 0));
  addGauge(registry, "atoll_clusters", "Registered clusters.", () => metrics.reports?.clusterCount() ?? 0);
  addGauge(registry, "atoll_plane_certificate_expiry_timestamp_seconds", "When this plane's own certificate ends.", () => (metrics.reports?.certificateNotAfterMs() ?? 0) / 1_000);
  addGauge(registry, "atoll_rollout_waiters", "Questions of how far a write has come that wait for an answer.", () => metrics.reports?.rolloutWaiters() ?? 0);
  addAdmissionMetrics(registry, () => metrics.reports?.admission?.kinds ?? []);
  addRelationshipEnds(registry, () => metrics.reports?.relationshipEnds() ?? []);
  addNameMetrics(registry, () => metrics.reports?.names);
  return metrics;
}
