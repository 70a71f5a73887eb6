import { Counter, Gauge, Registry } from "prom-client";
import type { BusObserver } from "#federation/bus/bus-observer.ts";

/** The hub's metrics: `observer` for the hub, `registry` for the scrape. */
export interface BusHubMetrics {
  readonly registry: Registry;
  readonly observer: BusObserver;
}

/** @param clientCount asked at each scrape. */
export function createBusHubMetrics(clientCount: () => number): BusHubMetrics {
  const registry = new Registry();
  const dropped = new Counter({
    name: "atoll_bus_dropped_total",
    help: "Messages that a client of the hub lost because it read too slowly.",
    registers: [registry],
  });
  registry.registerMetric(
    new Gauge({
      name: "atoll_bus_clients",
      help: "Clients connected to the hub.",
      registers: [],
      collect() {
        this.set(clientCount());
      },
    }),
  );
  return { registry, observer: { dropped: (count) => dropped.inc(count), reconnected() {} } };
}
