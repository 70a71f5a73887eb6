import { Counter, Gauge } from "prom-client";
import type { LabelValues, Registry } from "prom-client";

/** Adds one value with its labels to the metric that is being collected. */
export type AddSample = (labels: Readonly<Record<string, string>>, value: number) => void;

/** Describes a metric whose values live elsewhere and are read when somebody collects. */
export interface ReadMetric {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: (add: AddSample) => void;
}

/** A counter over values that the data path keeps by itself. */
export function addCounter(registry: Registry, metric: ReadMetric): void {
  const labelNames = [...(metric.labels ?? [])];
  const counter: Counter = new Counter({
    name: metric.name,
    help: metric.help,
    labelNames,
    registers: [registry],
    collect() {
      counter.reset();
      metric.read((labels, value) => counter.inc(labels as LabelValues<string>, value));
    },
  });
}

/** A gauge over values that are computed when asked for. */
export function addGauge(registry: Registry, metric: ReadMetric): void {
  const labelNames = [...(metric.labels ?? [])];
  const gauge: Gauge = new Gauge({
    name: metric.name,
    help: metric.help,
    labelNames,
    registers: [registry],
    collect() {
      gauge.reset();
      metric.read((labels, value) => gauge.set(labels as LabelValues<string>, value));
    },
  });
}
