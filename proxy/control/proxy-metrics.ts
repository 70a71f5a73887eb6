import { Registry } from "prom-client";
import { addProcessMetrics } from "#federation/telemetry/process-metrics.ts";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import type { ControlLink } from "./control-link.ts";
import type { SessionStats } from "./registry-session.ts";

/** A registry with what every proxy shows: its process, its identity, and its ties to the plane. */
export function createProxyRegistry(control: ControlLink, { planeClock }: SessionStats): Registry {
  const registry = new Registry();
  addProcessMetrics(registry);
  const { discovery, identityEvents } = control;
  addGauge(registry, {
    name: "atoll_svid_expiry_timestamp_seconds",
    help: "When the identity in use ends, as Unix time; 0 without one.",
    read: (add) => add({}, (control.svid.current?.notAfterMs ?? 0) / 1000),
  });
  addCounter(registry, {
    name: "atoll_svid_renewals_total",
    help: "Identities received, and tries that gave none.",
    labels: ["result"],
    read: (add) => {
      add({ result: "renewed" }, identityEvents.renewals);
      add({ result: "failed" }, identityEvents.failures);
    },
  });
  addGauge(registry, {
    name: "atoll_snapshot_age_seconds",
    help: "How old the snapshot that routes is; 0 while the plane is connected.",
    read: (add) => {
      const { ageMs } = control;
      if (ageMs !== undefined) add({}, ageMs / 1000);
    },
  });
  addGauge(registry, {
    name: "atoll_snapshot_resources",
    help: "Resources in the snapshot, by type.",
    labels: ["type"],
    read: (add) => {
      const { services, bundles, inbound, gatewayRoutes } = control.builder.snapshot.current;
      for (const [type, map] of Object.entries({ services, bundles, inbound, gatewayRoutes })) add({ type }, map.size);
    },
  });
  addCounter(registry, {
    name: "atoll_discovery_responses_total",
    help: "Discovery responses that were applied (ack) and refused (nack).",
    labels: ["result"],
    read: (add) => {
      add({ result: "ack" }, discovery.acks);
      add({ result: "nack" }, discovery.nacks);
    },
  });
  addGauge(registry, {
    name: "atoll_discovery_connected",
    help: "1 while the plane's discovery stream is open.",
    read: (add) => add({}, discovery.connected ? 1 : 0),
  });
  addGauge(registry, {
    name: "atoll_proxy_state_unwritten",
    help: "1 while the newest identity or the newest state cannot be written to the disk, so that a restart would begin with older ones.",
    read: (add) => add({}, control.unwritten === undefined ? 0 : 1),
  });
  addGauge(registry, {
    name: "atoll_proxy_clock_ahead_seconds",
    help: "This proxy's clock less its plane's; no value until the plane has said a time.",
    read: (add) => {
      if (planeClock.aheadMs !== undefined) add({}, planeClock.aheadMs / 1_000);
    },
  });
  return registry;
}
