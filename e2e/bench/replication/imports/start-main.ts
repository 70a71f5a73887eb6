import { monitorEventLoopDelay } from "node:perf_hooks";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { turn } from "#federation/runtime/turns.ts";
import { until } from "#federation/runtime/watched.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { keepAlive } from "../../../harness/run-measure.ts";
import { openBenchCluster } from "../bench-cluster.ts";
import { BenchOrigins } from "../bench-origins.ts";
import { benchCluster } from "../bench-resources.ts";

// A process of its own, so that what it holds is the plane's and nothing else. Started with --expose-gc, the path of the store, and how many imports that holds.
const [path = "", imports = "0"] = process.argv.slice(2);
await keepAlive(() => startOver(path, Number(imports)));

async function startOver(file: string, count: number): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await using store = await openSqliteStore({ path: file, clock: systemClock, logger: silentLogger });
  const cluster = await openBenchCluster({ index: 1, store, bus: new MemoryHub(systemClock).open(benchCluster(1)), origins: new BenchOrigins(), proxyCount: 1 }, signal);
  const running = runTasks(cluster.tasks, signal);
  // Whatever ends the plane before all is read ends this, too.
  await Promise.race([running, until(cluster.source.loaded, (isLoaded) => isLoaded, signal)]);
  const { size } = cluster.source.state.current.imports;
  // Nobody is there who would bring the rest.
  if (size < count) throw new Error(`the store ${file} holds ${size} imports, and ${count} were asked for: fill it first`);
  const readMs = performance.now();
  for (const { known } of cluster.proxies) await Promise.race([running, until(known, (services) => services >= count, signal)]);
  const toldMs = performance.now();
  // Which has stood still until now, if all of that was one turn.
  await turn();
  const pauseMs = delay.max / 1e6;
  // What an object outside V8's heap has held goes a turn after the object.
  for (let collected = 0; collected < 2; collected++) {
    globalThis.gc?.();
    await turn();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ readMs, toldMs, pauseMs, heldBytes: heapUsed + external, residentBytes: rss })}\n`);
  stop.abort();
  await running.catch(() => undefined);
}
