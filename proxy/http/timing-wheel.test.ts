import { describe, expect, test } from "vitest";
import type { Clock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { LocalStall } from "../health/local-stall.ts";
import { tickMs, TimingWheel, WheelTimer } from "./timing-wheel.ts";
import type { TimerOwner } from "./timing-wheel.ts";

class Recorder implements TimerOwner {
  readonly fired: [kind: number, atMs: number][] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  onTimer(kind: number): void {
    this.fired.push([kind, this.#clock.monotonicMs()]);
  }
}

describe("the timing wheel", () => {
  test.each([1, 19, 20, 21, 500, 20_000, 20_480, 61_000])("fires a timer of %i ms once, not early and at most two ticks late", async (delayMs) => {
    const clock = new VirtualClock();
    const wheel = new TimingWheel(clock);
    const recorder = new Recorder(clock);
    await clock.advance(7);
    wheel.arm(new WheelTimer(recorder, 3), clock.monotonicMs(), delayMs);
    await clock.advance(delayMs + 100);
    expect(recorder.fired).toHaveLength(1);
    const [kind, atMs] = recorder.fired[0] ?? [];
    expect(kind).toBe(3);
    expect(atMs).toBeGreaterThanOrEqual(7 + delayMs);
    expect(atMs).toBeLessThanOrEqual(7 + delayMs + 2 * tickMs);
    expect(wheel.size).toBe(0);
  });

  test("fires nothing that was cancelled or moved away", async () => {
    const clock = new VirtualClock();
    const wheel = new TimingWheel(clock);
    const recorder = new Recorder(clock);
    const timers = [0, 1, 2].map((kind) => new WheelTimer(recorder, kind));
    for (const timer of timers) wheel.arm(timer, 0, 100);
    wheel.cancel(timers[1] as WheelTimer);
    wheel.cancel(timers[1] as WheelTimer);
    wheel.arm(timers[2] as WheelTimer, 0, 1000);
    await clock.advance(500);
    expect(recorder.fired.map(([kind]) => kind)).toEqual([0]);
    await clock.advance(600);
    expect(recorder.fired.map(([kind]) => kind)).toEqual([0, 2]);
  });

  test("lets an owner cancel and arm timers of the very slot that fires", async () => {
    const clock = new VirtualClock();
    const wheel = new TimingWheel(clock);
    const fired: number[] = [];
    const timers: WheelTimer[] = [];
    const owner: TimerOwner = {
      onTimer(kind) {
        fired.push(kind);
        for (const timer of timers) wheel.cancel(timer);
        if (kind !== 9) wheel.arm(new WheelTimer(owner, 9), clock.monotonicMs(), 0);
      },
    };
    for (const kind of [0, 1, 2]) timers.push(new WheelTimer(owner, kind));
    for (const timer of timers) wheel.arm(timer, 0, 50);
    await clock.advance(500);
    expect(fired).toHaveLength(2);
    expect(fired[1]).toBe(9);
  });

  test("after a stall lets one more turn pass before it decides, so that bytes that came in time win", () => {
    let nowMs = 0;
    const scheduled: { delayMs: number; callback: () => void }[] = [];
    const clock: Clock = {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      schedule(delayMs, callback) {
        scheduled.push({ delayMs, callback });
        return { [Symbol.dispose]: () => undefined };
      },
    };
    const wheel = new TimingWheel(clock, new LocalStall(new VirtualClock()));
    const recorder = new Recorder(clock);
    const timer = new WheelTimer(recorder, 1);
    wheel.arm(timer, 0, 100);
    nowMs = 5_000;
    scheduled.shift()?.callback();
    expect(recorder.fired).toEqual([]);
    expect(scheduled.map(({ delayMs }) => delayMs)).toEqual([0]);
    scheduled.shift()?.callback();
    expect(recorder.fired).toHaveLength(1);
  });
});
