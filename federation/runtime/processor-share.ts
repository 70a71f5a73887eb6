import { performance } from "node:perf_hooks";

/** The share of the time since the last call in which this process really had a processor, in [0, 1] and a little more. */
export type ProcessorShare = () => number;

/**
 * Reads what the operating system has counted of all threads. The runtime's own utilization would count the time, too, in which
 * the process was ready to run and others had the processor.
 */
export function createProcessorShare(): ProcessorShare {
  let last = spentMs();
  let sinceMs = performance.now();
  return () => {
    const nowMs = performance.now();
    const spent = spentMs();
    const share = (spent - last) / Math.max(1, nowMs - sinceMs);
    last = spent;
    sinceMs = nowMs;
    return share;
  };
}

function spentMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
