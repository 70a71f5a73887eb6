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
}

/** Runs wrk on the load core. Good for capacity and cost, never for latency: a closed loop hides every stall. */
export async function runClosedLoop(rig: Rig, request: ClosedLoopRequest, signal: AbortSignal): Promise<ClosedLoopResult> {
  const wrk = rig.tools.wrk;
  const args = ["-t1", `-c${request.connections}`, `-d${request.seconds}s`, "-H", `Host: ${request.host}`, `http://127.0.0.1:${request.port}/bench`];
  const [program, ...rest] = rig.pinned("load", wrk.path, args);
  const { stdout } = await run(program ?? wrk.path, rest, { env: wrk.environment, signal });
  return parseWrkOutput(stdout);
}

/** Reads wrk's report. @throws Error when it is none. */
export function parseWrkOutput(output: string): ClosedLoopResult {
  const counted = /(\d+) requests in ([\d.]+)(us|ms|s|m)\b/.exec(output);
  if (counted === null) throw new Error(`wrk reported nothing: ${output.trim().slice(0, 200)}`);
  const unit = { us: 1e-6, ms: 1e-3, s: 1, m: 60 }[counted[3] ?? "s"] ?? 1;
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(output);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output);
  const errors = [refused?.[1], ...(socket?.slice(1) ?? [])].reduce((sum, count) => sum + Number(count ?? 0), 0);
  return { requests: Number(counted[1]), seconds: Number(counted[2]) * unit, errors };
}
