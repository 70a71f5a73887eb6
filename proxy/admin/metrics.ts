import type { Registry } from "prom-client";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import type { LocalStall } from "../health/local-stall.ts";
import { durationBucketsMs, type TelemetryStage } from "../http/telemetry-stage.ts";
import { responseFlags } from "../http/response-flag.ts";

/** The two sides of a sidecar in Istio's words. */
export type Reporter = "source" | "destination";

const requestLabels = ["reporter", "destination_service", "destination_cluster", "destination_region"] as const;

/** Counters and durations of requests, as the telemetry stages of both sides keep them. */
export function addRequestMetrics(registry: Registry, stages: readonly (readonly [Reporter, TelemetryStage])[]): void {
  addCounter(registry, {
    name: "atoll_requests_total",
    help: "Requests that have ended, by response code (0: the client left first) and Envoy's response flag.",
    labels: [...requestLabels, "response_code", "response_flags"],
    read: (add) => {
      for (const { labels, series } of allSeries(stages)) {
        for (const [outcome, count] of series.outcomes) {
          add({ ...labels, response_code: String(Math.floor(outcome / 16)), response_flags: responseFlags[outcome % 16] ?? "-" }, count);
        }
      }
    },
  });
  addCounter(registry, {
    name: "atoll_request_retries_total",
    help: "Tries after the first.",
    labels: requestLabels,
    read: (add) => {
      for (const { labels, series } of allSeries(stages)) add(labels, series.retries);
    },
  });
  addCounter(registry, {
    name: "atoll_request_bytes_total",
    help: "Body bytes, by direction.",
    labels: [...requestLabels, "direction"],
    read: (add) => {
      for (const { labels, series } of allSeries(stages)) {
        add({ ...labels, direction: "received" }, series.bytesReceived);
        add({ ...labels, direction: "sent" }, series.bytesSent);
      }
    },
  });
  addGauge(registry, {
    name: "atoll_requests_active",
    help: "Requests under way.",
    labels: ["reporter"],
    read: (add) => {
      for (const [reporter, stage] of stages) add({ reporter }, stage.active);
    },
  });
  addDurations(registry, stages);
}

/**
 * prom-client's Histogram can only observe single values; ours are counted already. Any object with a name and `get` is a
 * metric to its registry.
 */
function addDurations(registry: Registry, stages: readonly (readonly [Reporter, TelemetryStage])[]): void {
  const name = "atoll_request_duration_milliseconds";
  const metric = {
    name,
    help: "Duration of whole requests, all tries, in ms.",
    type: "histogram",
    aggregator: "sum",
    get: async () => ({ name, help: metric.help, type: metric.type, aggregator: metric.aggregator, values: durationValues(name, stages) }),
  };
  registry.registerMetric(metric as never);
}

function durationValues(name: string, stages: readonly (readonly [Reporter, TelemetryStage])[]): readonly object[] {
  const values: object[] = [];
  for (const { labels, series } of allSeries(stages)) {
    let below = 0;
    for (const [index, count] of series.durations.entries()) {
      below += count;
      values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: durationBucketsMs[index] ?? "+Inf" }, value: below });
    }
    values.push({ metricName: `${name}_sum`, labels, value: series.durationSumMs }, { metricName: `${name}_count`, labels, value: series.requests });
  }
  return values;
}

function* allSeries(stages: readonly (readonly [Reporter, TelemetryStage])[]) {
  for (const [reporter, stage] of stages) {
    for (const series of stage.series()) {
      yield { labels: { reporter, destination_service: series.service, destination_cluster: series.cluster, destination_region: series.region }, series };
    }
  }
}

/** Adds how often and how long this process itself did not run. */
export function addStallMetrics(registry: Registry, stall: LocalStall): void {
  addCounter(registry, { name: "atoll_process_stalls_total", help: "Times at which this process itself did not run when it should have.", read: (add) => add({}, stall.count) });
  addCounter(registry, {
    name: "atoll_process_stalled_milliseconds_total",
    help: "Time in which this process itself did not run; it is taken out of every verdict on others.",
    read: (add) => add({}, stall.totalMs),
  });
}
