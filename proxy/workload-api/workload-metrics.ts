import type { Registry } from "prom-client";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import type { WorkloadStats } from "./workload-stats.ts";

/** Adds what the Workload API counts. `domainsLeftOut`: related trust domains that have no room in an answer. */
export function addWorkloadMetrics(registry: Registry, stats: WorkloadStats, domainsLeftOut: () => number): void {
  addGauge(registry, {
    name: "atoll_workload_api_streams",
    help: "Open streams of applications that follow their identity, or bundles.",
    labels: ["method"],
    read: (add) => {
      for (const [method, count] of Object.entries(stats.streams)) add({ method }, count);
    },
  });
  addCounter(registry, {
    name: "atoll_workload_api_responses_total",
    help: "Answers of the Workload API: the first of each stream, and one for each change.",
    labels: ["method"],
    read: (add) => {
      for (const [method, count] of Object.entries(stats.responses)) add({ method }, count);
    },
  });
  addCounter(registry, {
    name: "atoll_workload_api_refused_total",
    help: "Calls, and connections beyond the bound, that the Workload API refused, and streams that it ended, by reason.",
    labels: ["reason"],
    read: (add) => {
      for (const [reason, count] of Object.entries(stats.refused)) add({ reason }, count);
      add({ reason: "tooManyConnections" }, stats.connectionsDropped);
    },
  });
  addCounter(registry, {
    name: "atoll_workload_api_tokens_total",
    help: "JWT-SVIDs that were given once more (kept), and those that made room for others (evicted).",
    labels: ["what"],
    read: (add) => {
      for (const [what, count] of Object.entries(stats.tokens)) add({ what }, count);
    },
  });
  addGauge(registry, {
    name: "atoll_workload_api_left_out",
    help: "Related trust domains whose roots, or JWT authorities, applications are not told, because an answer has no room for more.",
    read: (add) => add({}, domainsLeftOut()),
  });
}
