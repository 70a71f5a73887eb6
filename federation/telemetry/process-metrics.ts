import { readdirSync, readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { Gauge } from "prom-client";
import type { Registry } from "prom-client";
import { addCounter, addGauge } from "./read-metrics.ts";

/** Where Linux shows a process's open files and limits; elsewhere there is no such figure. */
const openFilesPath = "/proc/self/fd";
const limitsPath = "/proc/self/limits";

/**
 * What the operating system and the runtime say of this process, under the names of the Prometheus client libraries.
 * All of it is read when somebody scrapes. The client library's own set costs while nobody does: its loop histogram wakes
 * the process a hundred times a second (5 ms of processor time in each second, measured idle), and it hears of every
 * garbage collection.
 */
export function addProcessMetrics(registry: Registry): void {
  const counter = (name: string, help: string, read: () => number): void => addCounter(registry, { name, help, read: (add) => add({}, read()) });
  const gauge = (name: string, help: string, read: () => number): void => addGauge(registry, { name, help, read: (add) => add({}, read()) });
  counter("process_cpu_user_seconds_total", "Time on a processor in the program itself.", () => process.cpuUsage().user / 1e6);
  counter("process_cpu_system_seconds_total", "Time on a processor in the kernel.", () => process.cpuUsage().system / 1e6);
  counter("process_cpu_seconds_total", "Time on a processor in all.", () => (process.cpuUsage().user + process.cpuUsage().system) / 1e6);
  counter("nodejs_eventloop_active_seconds_total", "Time in which the event loop did not wait for events; without a processor counts too.", () => performance.eventLoopUtilization().active / 1e3);
  counter("nodejs_eventloop_idle_seconds_total", "Time in which the event loop waited for events.", () => performance.eventLoopUtilization().idle / 1e3);
  gauge("process_start_time_seconds", "When the process began, as Unix time.", () => performance.timeOrigin / 1e3);
  gauge("process_resident_memory_bytes", "Memory that is in use, shared pages of the program included.", () => process.memoryUsage.rss());
  gauge("nodejs_heap_size_total_bytes", "Memory of the JavaScript heap.", () => process.memoryUsage().heapTotal);
  gauge("nodejs_heap_size_used_bytes", "What of the JavaScript heap is in use.", () => process.memoryUsage().heapUsed);
  gauge("nodejs_external_memory_bytes", "Memory outside the heap that its objects hold.", () => process.memoryUsage().external);
  const version: Gauge = new Gauge({ name: "nodejs_version_info", help: "Node's version, as a label.", labelNames: ["version"], registers: [registry] });
  version.set({ version: process.version }, 1);
  addKnown(registry, "process_open_fds", "Open files and sockets.", openFiles);
  addKnown(registry, "process_max_fds", "As many files and sockets may be open.", openFilesMax);
}

/** A gauge that is left out while its value is not known, where one that was only reset would show 0. */
function addKnown(registry: Registry, name: string, help: string, read: () => number | undefined): void {
  const metric: Gauge = new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read();
      if (value === undefined) metric.remove();
      else metric.set(value);
    },
  });
}

function openFiles(): number | undefined {
  try {
    // The listing itself holds one.
    return readdirSync(openFilesPath).length - 1;
  } catch {
    return undefined;
  }
}

function openFilesMax(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync(limitsPath, "latin1"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
