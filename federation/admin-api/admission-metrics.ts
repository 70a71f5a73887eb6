import type { Registry } from "prom-client";
import { addGauge } from "#federation/telemetry/read-metrics.ts";
import { requestKinds, type PlaneAdmission } from "./plane-admission.ts";
import type { RequestAdmission } from "./request-admission.ts";

/** How many requests of each kind are under way, may be, and wait; nothing while the admin API is closed. */
export function addAdmissionMetrics(registry: Registry, admission: () => PlaneAdmission | undefined): void {
  const add = (name: string, help: string, read: (admission: RequestAdmission) => number): void =>
    addGauge(registry, {
      name,
      help,
      labels: ["requests"],
      read: (addSample) => {
        const present = admission();
        if (present === undefined) return;
        for (const requests of requestKinds) addSample({ requests }, read(present.kind(requests)));
      },
    });
  add("atoll_admin_in_use", "Requests of the admin API that are worked on.", ({ inUse }) => inUse);
  add("atoll_admin_limit", "Requests of the admin API that may be worked on at once, by what they have taken of late.", ({ limit }) => limit);
  add("atoll_admin_waiting", "Requests of the admin API that wait for one of those to end.", ({ waiting }) => waiting);
}
