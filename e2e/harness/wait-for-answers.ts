import { get } from "node:http";
import { sleep, systemClock } from "#federation/runtime/clock.ts";

const rightInRow = 10;
const withinMs = 60_000;
const pauseMs = 100;

/**
 * Waits until ten answers in a row through the sidecar at `port` were right: sidecars learn of each other within a
 * moment of starting, and load should begin after it. @throws Error after a minute
 */
export async function waitForAnswers(port: number, host: string, signal: AbortSignal): Promise<void> {
  let right = 0;
  let status = 0;
  for (const startMs = systemClock.monotonicMs(); systemClock.monotonicMs() - startMs < withinMs; ) {
    status = await statusOf(port, host);
    right = status === 200 ? right + 1 : 0;
    if (right === rightInRow) return;
    if (status !== 200) await sleep(systemClock, pauseMs, signal);
  }
  throw new Error(`Atoll's sidecar answers ${status} and not 200`);
}

/** The status of one request through the sidecar; 0 when there was no answer. */
function statusOf(port: number, host: string): Promise<number> {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path: "/bench", headers: { host }, agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", () => resolve(0));
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(0));
  });
}
