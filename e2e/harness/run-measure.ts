import { systemClock } from "#federation/runtime/clock.ts";

/** Aborts with the first SIGINT or SIGTERM; a second one ends the process. */
export function stopSignal(): AbortSignal {
  const stopper = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopper.abort());
  return stopper.signal;
}

/** Says on standard error how far a measure is, with the seconds since the process began. */
export function reportProgress(sentence: string): void {
  console.error(`${(systemClock.monotonicMs() / 1_000).toFixed(0).padStart(4)} s  ${sentence}`);
}

/** Runs `measure` to its end with the process kept alive: a timer of the clock does not do that, and while it waits nothing else may. */
export async function keepAlive(measure: () => Promise<void>): Promise<void> {
  const alive = setInterval(() => undefined, 60_000);
  try {
    await measure();
  } finally {
    clearInterval(alive);
  }
}
