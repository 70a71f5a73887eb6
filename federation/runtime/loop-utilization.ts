import { performance } from "node:perf_hooks";

/** The share of the time since the last call in which this process's event loop was at work, in [0, 1]. */
export type LoopUtilization = () => number;

/** Reads the runtime's own count: time in which the loop waited for events is idle, also where the host let it wait longer than that. */
export function createLoopUtilization(): LoopUtilization {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
