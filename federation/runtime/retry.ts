import { sleep, type Clock } from "./clock.ts";
import type { ErrorCode } from "./error-catalog.ts";
import { isAtollError } from "./errors.ts";
import type { Task } from "./lifecycle.ts";
import { jittered, type Random } from "./random.ts";

/** What passes by itself: the store or the bus is away, a disk is full, another writer was faster, or a lease has ended. */
export const passingFaults: readonly ErrorCode[] = [
  "ATOLL_BUS_OVERLOADED",
  "ATOLL_BUS_TIMEOUT",
  "ATOLL_BUS_UNAVAILABLE",
  "ATOLL_STORE_BEHIND",
  "ATOLL_STORE_CONFLICT",
  "ATOLL_STORE_LEASE_LOST",
  "ATOLL_STORE_UNAVAILABLE",
  "ATOLL_STORE_UNWRITABLE",
  "ATOLL_TIMEOUT",
];

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Hears of each failure before the next try. */
  readonly onFailure: (error: unknown) => void;
}

/** Mean pause before the next try, ms. */
export const retryPauseMs = 500;

/**
 * `task` begun again after every fault that passes by itself, until it ends or its signal aborts; every other error is
 * thrown. Whatever the task follows it must take up anew from the start.
 */
export function retried(options: RetryOptions, task: Task): Task {
  return async (signal) => {
    for (;;) {
      try {
        await task(signal);
        return;
      } catch (error) {
        if (signal.aborted || !isAtollError(error, ...passingFaults)) throw error;
        options.onFailure(error);
      }
      await sleep(options.clock, jittered(options.random, retryPauseMs, 0.5), signal);
    }
  };
}
