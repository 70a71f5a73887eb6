import type { Registry } from "prom-client";
import { addGauge } from "./read-metrics.ts";

/** `atoll_relationship_expiry_timestamp_seconds`; `ends` tells by name in wall-clock ms. */
export function addRelationshipEnds(registry: Registry, ends: () => Iterable<readonly [name: string, endMs: number]>): void {
  addGauge(registry, {
    name: "atoll_relationship_expiry_timestamp_seconds",
    help: "When what holds of a relationship ends, unless both sides approve another end before.",
    labels: ["relationship"],
    read: (add) => {
      for (const [relationship, endMs] of ends()) add({ relationship }, endMs / 1_000);
    },
  });
}
