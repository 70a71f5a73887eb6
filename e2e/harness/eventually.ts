import { sleep, systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";

const pollMs = 50;
const never = new AbortController().signal;

/** Waits on the wall clock: processes of their own have no other. @throws {ATOLL_ABORTED} */
export function pause(ms: number, signal = never): Promise<void> {
  return sleep(systemClock, ms, signal);
}

/**
 * Asks again until `read` gives something, and returns it. What it threw last, or `what`, is the failure after `withinMs`.
 * `undefined` and `false` mean: not yet.
 */
export async function eventually<T>(what: string, read: () => Promise<T | undefined | false> | T | undefined | false, withinMs = 20_000): Promise<T> {
  const startMs = systemClock.monotonicMs();
  for (;;) {
    let failure = "it did not happen";
    try {
      const value = await read();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      failure = describeError(error);
    }
    if (systemClock.monotonicMs() - startMs > withinMs) throw new Error(`${what}: not within ${withinMs / 1000} s (${failure})`);
    await pause(pollMs);
  }
}
