import type { Registry } from "prom-client";
import type { Clock } from "#federation/runtime/clock.ts";
import type { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";

/** Adds what a proxy knows of the names that it resolves. */
export function addNameMetrics(registry: Registry, resolver: NameResolver, clock: Clock): void {
  addCounter(registry, {
    name: "atoll_name_lookups_total",
    help: "Look-ups of names of gateways: found, missing (DNS says that there is nothing), failed. What was held before stays after the last two.",
    labels: ["result"],
    read: (add) => {
      for (const [result, count] of Object.entries(resolver.counts)) add({ result }, count);
    },
  });
  addGauge(registry, {
    name: "atoll_name_addresses",
    help: "Addresses that a name stands for, all of which are used.",
    labels: ["name"],
    read: (add) => {
      for (const [name, { addresses }] of resolver.names.current) add({ name }, addresses.length);
    },
  });
  addGauge(registry, {
    name: "atoll_name_age_seconds",
    help: "How old the answer is that the addresses of a name come from.",
    labels: ["name"],
    read: (add) => {
      for (const [name, { asOfMs }] of resolver.names.current) if (asOfMs !== undefined) add({ name }, Math.max(0, clock.nowMs() - asOfMs) / 1_000);
    },
  });
  addGauge(registry, {
    name: "atoll_name_left_out",
    help: "Names, and addresses of names, that are not used because there are more than the bound.",
    labels: ["what"],
    read: (add) => {
      add({ what: "names" }, resolver.leftOut);
      add({ what: "addresses" }, resolver.addressesDropped);
    },
  });
}
