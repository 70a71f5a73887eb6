import { Counter, Registry } from "prom-client";
import type { Clock } from "#federation/runtime/clock.ts";
import { WriteFailures } from "#federation/runtime/write-failures.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import { addGauge as addReadGauge } from "./read-metrics.ts";

/** The metrics that every control plane has. */
export interface PlaneMetrics {
  readonly registry: Registry;
  readonly busDropped: Counter;
  readonly busReconnected: Counter;
  readonly adminRefused: Counter<"code">;
  readonly auditFailures: Counter;
  readonly storeCommitsRefused: Counter;
  readonly rolloutWaitsRefused: Counter;
  readonly adminOverloaded: Counter<"requests" | "reason">;
  /** What this process cannot write at present. */
  readonly writeFailures: WriteFailures;
}

/** A registry with the process's own figures and the counters of the bus. */
export function createPlaneMetrics(labels: Readonly<Record<string, string>>, clock: Clock): PlaneMetrics {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  addProcessMetrics(registry);
  const writeFailures = new WriteFailures(clock);
  addReadGauge(registry, {
    name: "atoll_plane_unwritable",
    help: "1 for each thing that this plane has to write and cannot; it answers by what it knows, and takes no changes where its store or its audit trail is among them.",
    labels: ["what"],
    read: (add) => {
      for (const { what } of writeFailures.current) add({ what }, 1);
    },
  });
  return {
    registry,
    busDropped: new Counter({ name: "atoll_bus_dropped_total", help: "Messages lost for want of room or of a connection; digests repair the gap.", registers: [registry] }),
    busReconnected: new Counter({ name: "atoll_bus_reconnected_total", help: "Times the connection to the bus came back.", registers: [registry] }),
    adminRefused: new Counter({ name: "atoll_admin_refused_total", help: "Calls of the admin API that were refused for who the caller is, by code.", labelNames: ["code"], registers: [registry] }),
    auditFailures: new Counter({ name: "atoll_audit_failures_total", help: "Lines of the audit trail that could not be written; mutations are refused then.", registers: [registry] }),
    storeCommitsRefused: new Counter({ name: "atoll_store_commits_refused_total", help: "Writes that were refused because as many waited for etcd as may.", registers: [registry] }),
    writeFailures,
    rolloutWaitsRefused: new Counter({ name: "atoll_rollout_waits_refused_total", help: "Questions of how far a write has come that could not wait, since as many waited as may.", registers: [registry] }),
    adminOverloaded: new Counter({ name: "atoll_admin_overloaded_total", help: "Reads and writes that the admin API refused because it has more to do than it can: as many waited as may, or they had waited as long as one may.", labelNames: ["requests", "reason"], registers: [registry] }),
  };
}

/** A gauge whose value is asked for when it is scraped. */
export function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  addReadGauge(registry, { name, help, read: (add) => add({}, read()) });
}
