import { sleep, systemClock } from "#federation/runtime/clock.ts";
import { call } from "./http-call.ts";

const rightInRow = 10;
const withinMs = 60_000;
const pauseMs = 100;
const answerWithinMs = 2_000;

/**
 * Waits until ten answers in a row through the sidecar at `port` were right: sidecars learn of each other within a
 * moment of starting, and load should begin after it. @throws Error after a minute
 */
export async function waitForAnswers(port: number, host: string, signal: AbortSignal): Promise<void> {
  let right = 0;
  let status = 0;
  for (const startMs = systemClock.monotonicMs(); systemClock.monotonicMs() - startMs < withinMs; ) {
    status = await call(port, { host, path: "/bench", withinMs: answerWithinMs }).then(
      (answer) => answer.status,
      () => 0,
    );
    right = status === 200 ? right + 1 : 0;
    if (right === rightInRow) return;
    if (status !== 200) await sleep(systemClock, pauseMs, signal);
  }
  throw new Error(`Atoll's sidecar answers ${status} and not 200`);
}
