import type { Registry } from "prom-client";
import { priorityClasses } from "#federation/model/priority-class.ts";
import { addCounter, addGauge } from "#federation/telemetry/read-metrics.ts";
import type { AddSample } from "#federation/telemetry/read-metrics.ts";
import type { Admission } from "./admission.ts";
import type { LoopDelay } from "./loop-delay.ts";
import type { LoopShedStage } from "./loop-shed-stage.ts";
import { refusalReasons } from "./ticket.ts";

/** What admission to each port of the application does; `admissions` is by that port. */
export function addAdmissionMetrics(registry: Registry, admissions: ReadonlyMap<number, Admission>): void {
  const gauge = (name: string, help: string, valueOf: (admission: Admission) => number): void =>
    addGauge(registry, {
      name,
      help,
      labels: ["app_port"],
      read: (add) => {
        for (const [port, admission] of admissions) add({ app_port: String(port) }, valueOf(admission));
      },
    });
  gauge("atoll_admission_limit", "Requests that the application may have at once; follows how long they take.", ({ limit }) => Math.floor(limit.limit));
  gauge("atoll_admission_in_use", "Requests that the application has, of those that the limit allows.", ({ inUse }) => inUse);
  gauge("atoll_admission_streams", "Responses that flow, and requests that have outlasted every patience: outside the limit.", ({ streams }) => streams);
  gauge("atoll_admission_queue_length", "Requests that wait for admission.", ({ queue }) => queue.length);
  gauge("atoll_admission_queue_delay_milliseconds", "How long requests wait for admission, smoothed.", ({ queueDelayMs }) => queueDelayMs);
  gauge("atoll_admission_latency_milliseconds", "Mean time of the application until its response's head.", ({ limit }) => limit.latencyMs);
  gauge("atoll_admission_baseline_milliseconds", "The same for requests that wait for no other inside the application.", ({ limit }) => limit.baselineMs);
  addCounter(registry, {
    name: "atoll_admission_admitted_total",
    help: "Requests that were let into the application, by class.",
    labels: ["app_port", "class"],
    read: (add) => {
      for (const [port, { admitted }] of admissions) addByClass(add, { app_port: String(port) }, admitted);
    },
  });
  addCounter(registry, {
    name: "atoll_admission_refused_total",
    help: "Requests that were refused for want of room in the application, by reason and class.",
    labels: ["app_port", "reason", "class"],
    read: (add) => {
      for (const [port, { refused }] of admissions) {
        for (const [index, reason] of refusalReasons.entries()) {
          for (const [at, name] of priorityClasses.entries()) add({ app_port: String(port), reason, class: name }, refused[at * refusalReasons.length + index] ?? 0);
        }
      }
    },
  });
}

/** How late this process's own event loop is, and what it refuses for that. */
export function addLoopMetrics(registry: Registry, loop: LoopDelay, guards: Readonly<Record<"inbound" | "outbound", LoopShedStage>>): void {
  addGauge(registry, {
    name: "atoll_event_loop_delay_milliseconds",
    help: "How late the proxy's event loop is: smoothed, and the maximum of the last five to ten seconds.",
    labels: ["kind"],
    read: (add) => {
      add({ kind: "smoothed" }, loop.smoothedMs);
      add({ kind: "maximum" }, loop.maximumMs);
    },
  });
  addCounter(registry, {
    name: "atoll_proxy_overloaded_total",
    help: "Requests that were refused because the proxy's own event loop was late, by side and class.",
    labels: ["side", "class"],
    read: (add) => {
      for (const [side, { refused }] of Object.entries(guards)) addByClass(add, { side }, refused);
    },
  });
}

function addByClass(add: AddSample, labels: Readonly<Record<string, string>>, counts: Float64Array): void {
  for (const [at, name] of priorityClasses.entries()) add({ ...labels, class: name }, counts[at] ?? 0);
}
