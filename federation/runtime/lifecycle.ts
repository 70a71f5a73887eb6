import { isAtollError } from "./errors.ts";

/** A piece of a process that runs until its signal aborts. Abort is a normal end, not an error. */
export type Task = (signal: AbortSignal) => Promise<void>;

/**
 * Runs `tasks` side by side until all have ended. The first one that fails aborts the others, and its error is
 * thrown once they have ended; when `signal` aborts, all are told and the call returns normally.
 */
export async function runTasks(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
  const stopper = new AbortController();
  const combined = AbortSignal.any([signal, stopper.signal]);
  let failure: { readonly error: unknown } | undefined;
  await Promise.all(
    tasks.map(async (task) => {
      try {
        await task(combined);
      } catch (error) {
        if (combined.aborted && isAbort(error)) return;
        failure ??= { error };
        stopper.abort(error);
      }
    }),
  );
  if (failure !== undefined) throw failure.error;
}

/** Resolves once `signal` has aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** True for the errors that an aborted signal causes: ours, and the platform's AbortError. */
export function isAbort(error: unknown): boolean {
  return isAtollError(error, "ATOLL_ABORTED") || (error instanceof Error && error.name === "AbortError");
}
