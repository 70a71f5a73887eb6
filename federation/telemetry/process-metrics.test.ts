import { createHook } from "node:async_hooks";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { addProcessMetrics } from "./process-metrics.ts";

test("shows the process under the usual names", async () => {
  const registry = new Registry();
  addProcessMetrics(registry);
  const valueOf = async (name: string): Promise<number> => {
    const { values } = (await registry.getSingleMetric(name)?.get()) ?? { values: [] };
    return values[0]?.value ?? Number.NaN;
  };
  const first = await valueOf("process_cpu_seconds_total");
  expect(first).toBeGreaterThan(0);
  expect(await valueOf("process_cpu_seconds_total")).toBeGreaterThanOrEqual(first);
  expect(await valueOf("process_resident_memory_bytes")).toBeGreaterThan(2 ** 20);
  expect(await valueOf("nodejs_heap_size_used_bytes")).toBeLessThanOrEqual(await valueOf("nodejs_heap_size_total_bytes"));
  expect(await valueOf("process_start_time_seconds")).toBeLessThanOrEqual(Date.now() / 1e3);
  expect(await valueOf("nodejs_eventloop_active_seconds_total")).toBeGreaterThan(0);
  if (process.platform === "linux") expect(await valueOf("process_open_fds")).toBeLessThan(await valueOf("process_max_fds"));
  expect(await registry.metrics()).toContain(`nodejs_version_info{version="${process.version}"} 1`);
});

test("costs nothing while nobody scrapes: no timer, no observer", () => {
  const made: string[] = [];
  const hook = createHook({ init: (_id, type) => void made.push(type) }).enable();
  addProcessMetrics(new Registry());
  hook.disable();
  expect(made.filter((type) => type !== "PROMISE" && type !== "TickObject")).toEqual([]);
});
