import { expect, it } from "vitest";
import { runWhile } from "./run-while.ts";
import { sleep } from "./clock.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { WatchedValue } from "./watched.ts";

const never = 1_000_000;

it("runs a task while a condition holds, again when it holds anew, and not beside itself", async () => {
  const clock = new VirtualClock();
  const condition = new WatchedValue(false);
  const stop = new AbortController();
  let running = 0;
  let runs = 0;
  const done = runWhile(condition, async (signal) => {
    running++;
    runs++;
    await sleep(clock, never, signal).finally(() => running--);
  })(stop.signal).catch(() => undefined);
  const seen: (readonly [number, number])[] = [];
  for (const holds of [false, true, true, false, true]) {
    condition.set(holds);
    await clock.advance(1);
    seen.push([running, runs]);
  }
  expect(seen).toEqual([[0, 0], [1, 1], [1, 1], [0, 1], [1, 2]]);
  stop.abort();
  await done;
  expect(running).toBe(0);
});

it("throws what the task throws, and ends with its signal", async () => {
  const { signal } = new AbortController();
  await expect(runWhile(new WatchedValue(true), () => Promise.reject(new Error("broken")))(signal)).rejects.toThrow("broken");
});
