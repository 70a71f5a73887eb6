import { Counter, type Registry } from "prom-client";
import { addGauge } from "#federation/telemetry/plane-metrics.ts";
import { connectionLimits, type GateRefusal } from "./connection-gate.ts";

/** Why a connection got no answer: too many of them, cut when its time was over, or a handshake or a request that was none. */
export type EndpointRefusal = GateRefusal | "time" | "handshake" | "request";

export interface BundleEndpointMetrics {
  readonly answers: Counter<"status">;
  readonly refused: Counter<"reason">;
}

/** What the gauges read of an endpoint. */
export interface BundleEndpointReports {
  readonly connections: number;
  readonly sequence: number;
  /** Wall-clock ms; 0 while there is no certificate. */
  readonly certificateEndMs: number;
}

/** Registered where an endpoint is configured, and nowhere else. */
export function addBundleEndpointMetrics(registry: Registry, reports: () => BundleEndpointReports): BundleEndpointMetrics {
  const registers = [registry];
  addGauge(registry, "atoll_bundle_endpoint_connections", `Connections of the bundle endpoint, of ${connectionLimits.connections}.`, () => reports().connections);
  addGauge(registry, "atoll_bundle_endpoint_certificate_expiry_timestamp_seconds", "When the certificate ends that the bundle endpoint shows; 0 while it has none and serves nobody.", () => reports().certificateEndMs / 1_000);
  addGauge(registry, "atoll_bundle_sequence", "The sequence number of the bundle that is served.", () => reports().sequence);
  return {
    answers: new Counter({ name: "atoll_bundle_endpoint_answers_total", help: "Answers of the bundle endpoint, by status.", labelNames: ["status"], registers }),
    refused: new Counter({ name: "atoll_bundle_endpoint_refused_total", help: "Connections to the bundle endpoint that got no answer, by reason.", labelNames: ["reason"], registers }),
  };
}
