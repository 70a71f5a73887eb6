import { describe, expect, it } from "vitest";
import { sleep, systemClock } from "./clock.ts";
import { runTasks } from "./lifecycle.ts";
import { VirtualClock } from "./virtual-clock.ts";

const untilAborted = (signal: AbortSignal): Promise<void> => sleep(systemClock, 1_000_000, signal);

describe("runTasks", () => {
  it("stops every task when one fails, and throws that failure", async () => {
    let stopped = false;
    const failing = runTasks(
      [
        async (signal) => {
          await untilAborted(signal).finally(() => {
            stopped = true;
          });
        },
        async () => {
          throw new Error("first");
        },
      ],
      new AbortController().signal,
    );
    await expect(failing).rejects.toThrow("first");
    expect(stopped).toBe(true);
  });

  it("returns normally when its signal aborts", async () => {
    const stop = new AbortController();
    const running = runTasks([untilAborted, untilAborted], stop.signal);
    stop.abort();
    await expect(running).resolves.toBeUndefined();
  });

  it("throws an error that a task makes of the abort itself", async () => {
    const stop = new AbortController();
    const running = runTasks([(signal) => untilAborted(signal).catch(() => Promise.reject(new Error("could not flush")))], stop.signal);
    stop.abort();
    await expect(running).rejects.toThrow("could not flush");
  });
});

describe("VirtualClock", () => {
  it("fires timers in order of their due time and lets promises settle between them", async () => {
    const clock = new VirtualClock();
    const signal = new AbortController().signal;
    const seen: string[] = [];
    const worker = async (name: string, stepMs: number): Promise<void> => {
      for (let turn = 0; turn < 2; turn++) {
        await sleep(clock, stepMs, signal);
        seen.push(`${name}@${clock.monotonicMs()}`);
      }
    };
    const all = Promise.all([worker("slow", 30), worker("fast", 10)]);
    await clock.advance(100);
    await all;
    expect(seen).toEqual(["fast@10", "fast@20", "slow@30", "slow@60"]);
  });

  it("moves the wall clock without moving deadlines", async () => {
    const clock = new VirtualClock(1_000);
    let fired = false;
    clock.schedule(50, () => {
      fired = true;
    });
    clock.jumpWall(1_000_000);
    await clock.advance(49);
    expect(fired).toBe(false);
    expect(clock.nowMs()).toBe(1_001_049);
    await clock.advance(1);
    expect(fired).toBe(true);
  });
});
