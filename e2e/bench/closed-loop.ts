import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Rig } from "./rig.ts";

const run = promisify(execFile);

/** A closed loop of wrk against one address. */
export interface ClosedLoopRequest {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
}

/** What wrk counted. */
export interface ClosedLoopResult {
  readonly requests: number;
  readonly seconds: number;
  /** Answers that were no 2xx or 3xx, and socket errors of any kind. */
  readonly errors: number;
  /** The loop's own: at a fixed number of connections a proxy that answers slower is also asked less. */
  readonly p99Micros: number;
}

/** Runs wrk on the load core. Good for capacity and cost; its latencies hide every stall and only compare proxies at one concurrency. */
export async function runClosedLoop(rig: Rig, request: ClosedLoopRequest, signal: AbortSignal): Promise<ClosedLoopResult> {
  const wrk = rig.tools.wrk;
  const args = ["-t1", "--latency", `-c${request.connections}`, `-d${request.seconds}s`, "-H", `Host: ${request.host}`, `http://127.0.0.1:${request.port}/bench`];
  const [program, ...rest] = rig.pinned("load", wrk.path, args);
  const { stdout } = await run(program ?? wrk.path, rest, { env: wrk.environment, signal });
  return parseWrkOutput(stdout);
}

/** How often a loop in which nobody was answered is run again, each time twice as long. */
const longerMax = 4;

/** What `loop` counts within `seconds`: a cost for each request needs one, and a host that others use may not answer any in a second. @throws Error when nobody is answered in the longest one either. */
export async function answeredLoop<T extends { readonly loop: ClosedLoopResult }>(seconds: number, loop: (seconds: number) => Promise<T>): Promise<T> {
  for (let times = 0; ; times++) {
    const asked = seconds * 2 ** times;
    const result = await loop(asked);
    if (result.loop.requests > 0) return result;
    if (times === longerMax) throw new Error(`nobody was answered in ${asked} s`);
  }
}

/** Reads wrk's report. @throws Error when it is none. */
export function parseWrkOutput(output: string): ClosedLoopResult {
  const counted = /(\d+) requests in ([\d.]+)(us|ms|s|m)\b/.exec(output);
  if (counted === null) throw new Error(`wrk reported nothing: ${output.trim().slice(0, 200)}`);
  const p99 = /^\s*99%\s+([\d.]+)(us|ms|s|m)\b/m.exec(output);
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(output);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output);
  const errors = [refused?.[1], ...(socket?.slice(1) ?? [])].reduce((sum, count) => sum + Number(count ?? 0), 0);
  return { requests: Number(counted[1]), seconds: secondsOf(counted[2], counted[3]), errors, p99Micros: secondsOf(p99?.[1], p99?.[2]) * 1e6 };
}

function secondsOf(number: string | undefined, unit: string | undefined): number {
  return Number(number) * ({ us: 1e-6, ms: 1e-3, s: 1, m: 60 }[unit ?? ""] ?? Number.NaN);
}
