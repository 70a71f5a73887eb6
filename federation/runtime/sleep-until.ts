import { sleep, type Clock } from "./clock.ts";
import { until, type Watched } from "./watched.ts";

/** Ends after `delayMs`, or once `watched` has a value for which `holds`, the present one included. @throws {ATOLL_ABORTED} when `signal` aborts first */
export async function sleepUntil<T>(clock: Clock, delayMs: number, watched: Watched<T>, holds: (value: T) => boolean, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  try {
    await Promise.race([sleep(clock, delayMs, either), until(watched, holds, either)]);
  } finally {
    over.abort();
  }
}
