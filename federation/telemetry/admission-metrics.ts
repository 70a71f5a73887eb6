import type { Registry } from "prom-client";
import { addGauge } from "./read-metrics.ts";

/** Requests of one kind at an admin API. */
export interface AdmissionCounts {
  readonly inUse: number;
  /** How many may be worked on at once. */
  readonly limit: number;
  readonly waiting: number;
}

/** How many requests of each kind are under way, may be, and wait; none while the admin API is closed. */
export function addAdmissionMetrics(registry: Registry, counts: () => Iterable<readonly [requests: string, counts: AdmissionCounts]>): void {
  const add = (name: string, help: string, read: (counts: AdmissionCounts) => number): void =>
    addGauge(registry, {
      name,
      help,
      labels: ["requests"],
      read: (addSample) => {
        for (const [requests, of] of counts()) addSample({ requests }, read(of));
      },
    });
  add("atoll_admin_in_use", "Requests of the admin API that are worked on.", ({ inUse }) => inUse);
  add("atoll_admin_limit", "Requests of the admin API that may be worked on at once, by what they have taken of late.", ({ limit }) => limit);
  add("atoll_admin_waiting", "Requests of the admin API that wait for one of those to end.", ({ waiting }) => waiting);
}
