import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { answeredLoop, runClosedLoop } from "./closed-loop.ts";
import type { OpenLoopRequest, OpenLoopResult } from "./open-loop.ts";
import { readTreeUsage } from "./process-usage.ts";
import type { Rig } from "./rig.ts";
import { benchHost } from "./shape.ts";
import type { RunningSubject } from "./subject.ts";

const run = promisify(execFile);

/** How long and how hard each measurement is. */
export interface BenchSettings {
  readonly quick: boolean;
  /** Rounds A-B-B-A; each gives two samples of every subject. */
  readonly rounds: number;
  readonly closedLoopSeconds: number;
  readonly connections: number;
  /** Of a pair's closed loops, one after the other. */
  readonly concurrency: readonly number[];
  readonly openLoopSeconds: number;
  readonly requestsPerSecond: number;
}

/** One closed-loop sample. */
export interface CostSample {
  readonly cpuMicrosPerRequest: number;
  readonly requestsPerSecond: number;
  readonly errors: number;
  readonly p99Micros: number;
  /** In the order of the subject's processes. */
  readonly processes: readonly { readonly cpuMicrosPerRequest: number; readonly residentBytes: number }[];
}

/** CPU time of the subject's process trees for each request, under a closed loop of a fixed number of connections. */
export async function measureCost(
  rig: Rig,
  subject: RunningSubject,
  settings: Pick<BenchSettings, "connections" | "closedLoopSeconds">,
  signal: AbortSignal,
): Promise<CostSample> {
  const { before, loop: result } = await answeredLoop(settings.closedLoopSeconds, async (seconds) => ({
    before: subject.pids.map((pid) => readTreeUsage(pid)),
    loop: await runClosedLoop(rig, { port: subject.loadPort, host: benchHost, connections: settings.connections, seconds }, signal),
  }));
  const processes = subject.pids.map((pid, at) => {
    const { cpuMicros, residentBytes } = readTreeUsage(pid);
    return { cpuMicrosPerRequest: (cpuMicros - (before[at]?.cpuMicros ?? Number.NaN)) / result.requests, residentBytes };
  });
  return {
    cpuMicrosPerRequest: processes.reduce((sum, one) => sum + one.cpuMicrosPerRequest, 0),
    requestsPerSecond: result.requests / result.seconds,
    errors: result.errors,
    p99Micros: result.p99Micros,
    processes,
  };
}

/** Latency seen by an open loop at a fixed rate, by a generator in a process of its own on the load core. */
export async function measureLatency(rig: Rig, port: number, settings: BenchSettings, signal: AbortSignal): Promise<OpenLoopResult> {
  const request: OpenLoopRequest = {
    port,
    host: benchHost,
    requestsPerSecond: settings.requestsPerSecond,
    seconds: settings.openLoopSeconds,
    connections: settings.connections,
    warmUpSeconds: 0.5,
  };
  const main = join(import.meta.dirname, "open-loop-main.ts");
  const [program, ...args] = rig.pinned("load", process.execPath, [main, JSON.stringify(request)]);
  const { stdout } = await run(program ?? process.execPath, args, { signal });
  return JSON.parse(stdout) as OpenLoopResult;
}
