import { AtollError } from "./errors.ts";

/** Time as a port, so that any test can own it. */
export interface Clock {
  /** Wall-clock time in ms since the epoch: certificates, and ages shown to people. It may jump. */
  nowMs(): number;
  /** Monotonic time in ms from an arbitrary start: deadlines, sessions, measured durations. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`; disposing cancels it. The timer does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Disposable;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    // setTimeout fires at once above 2^31-1 ms (Node docs, timers), so long delays are taken in steps.
    const stepMsMax = 0x7fff_ffff;
    const endMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const leftMs = endMs - performance.now();
      timer = setTimeout(leftMs > stepMsMax ? arm : callback, Math.min(Math.max(leftMs, 0), stepMsMax));
      timer.unref();
    };
    arm();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/**
 * Resolves after `delayMs` on `clock`.
 * @throws {ATOLL_ABORTED} when `signal` aborts first.
 */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortedError(signal));
      return;
    }
    const onAbort = (): void => {
      timer[Symbol.dispose]();
      reject(abortedError(signal));
    };
    const timer = clock.schedule(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** The error of an operation that `signal` ended; it carries the signal's reason as its cause. */
export function abortedError(signal: AbortSignal): AtollError {
  return new AtollError("ATOLL_ABORTED", "the operation was cancelled", { cause: signal.reason });
}

/** A signal that aborts after `delayMs` on `clock`, or when `parent` does. Dispose it when the work is done. */
export function deadlineSignal(clock: Clock, delayMs: number, parent: AbortSignal): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const timer = clock.schedule(delayMs, () => {
    controller.abort(new AtollError("ATOLL_TIMEOUT", `no answer within ${delayMs} ms`));
  });
  return {
    signal: AbortSignal.any([controller.signal, parent]),
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}

/** Whether `wait` ends within `delayMs`; its signal aborts then. What it fails with before that is thrown. */
export async function endsWithin(clock: Clock, delayMs: number, wait: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<boolean> {
  using deadline = deadlineSignal(clock, delayMs, signal);
  try {
    await wait(deadline.signal);
    return true;
  } catch (error) {
    if (signal.aborted || !deadline.signal.aborted) throw error;
    return false;
  }
}
