import { describe, expect, it } from "vitest";
import type { Clock } from "#federation/runtime/clock.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { Exchange } from "../http/exchange.ts";
import type { ClientSide } from "../http/exchange.ts";
import { TimingWheel, WheelTimer } from "../http/timing-wheel.ts";
import { LoopDelay } from "./loop-delay.ts";
import { LoopShed } from "./loop-shed.ts";
import { activeMin, LoopShedStage } from "./loop-shed-stage.ts";

/** A clock whose timers fire as late as a test wants, as those of a busy loop do. */
class LateClock implements Clock {
  #nowMs = 0;
  #next: { readonly dueMs: number; readonly callback: () => void } | undefined = undefined;

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, callback: () => void): Disposable {
    this.#next = { dueMs: this.#nowMs + delayMs, callback };
    return { [Symbol.dispose]: () => undefined };
  }

  /** Fires what is scheduled, `lateMs` after it was due. */
  fire(lateMs: number): void {
    const next = this.#next;
    if (next === undefined) throw new Error("nothing is scheduled");
    this.#next = undefined;
    this.#nowMs = next.dueMs + lateMs;
    next.callback();
  }

  pass(byMs: number): void {
    this.#nowMs += byMs;
  }
}

function setUp() {
  const clock = new LateClock();
  const wheel = new TimingWheel(clock);
  const loop = new LoopDelay(wheel, () => 1);
  const keep = new WheelTimer({ onTimer: () => undefined }, 0);
  wheel.arm(keep, 0, 20_000);
  return { clock, wheel, loop, keep };
}

describe("LoopDelay", () => {
  it("is what the wheel's ticks come late, smoothed and at most", () => {
    const { clock, loop } = setUp();
    for (let at = 0; at < 10; at++) clock.fire(1);
    clock.fire(40);
    expect(loop.smoothedMs).toBeGreaterThan(5);
    expect(loop.smoothedMs).toBeLessThan(15);
    expect(loop.maximumMs).toBe(40);
    for (let at = 0; at < 20; at++) clock.fire(1);
    expect(loop.smoothedMs).toBeLessThan(2);
    expect(loop.maximumMs).toBe(40);
    for (let at = 0; at < 500; at++) clock.fire(1);
    expect(loop.maximumMs).toBe(1);
  });

  it("tells its listeners of a stop of the process once", () => {
    const { clock, loop } = setUp();
    const heard: number[] = [];
    loop.listen({ onLoopTick: (lateMs, _nowMs, busyRatio) => heard.push(lateMs * busyRatio) });
    clock.fire(0);
    clock.fire(5_000);
    clock.fire(0);
    clock.fire(0);
    expect(heard).toEqual([0, 5_000, 0]);
  });

  it("knows how late the tick is that has not come yet, and nothing while no timer is armed", () => {
    const { clock, wheel, loop, keep } = setUp();
    clock.pass(15);
    expect(loop.lateMs(clock.monotonicMs())).toBe(0);
    clock.pass(35);
    expect(loop.lateMs(clock.monotonicMs())).toBe(30);
    wheel.cancel(keep);
    clock.fire(0);
    clock.pass(1_000);
    expect(loop.lateMs(clock.monotonicMs())).toBe(0);
  });
});

describe("LoopShedStage", () => {
  it("refuses by the share of the class, with a reason and a hint, and counts by class", () => {
    const { clock, loop } = setUp();
    const shed = new LoopShed(30);
    loop.listen(shed);
    const stage = new LoopShedStage(loop, shed, createSeededRandom(1));
    const x = new Exchange({} as ClientSide);
    x.startMs = clock.monotonicMs();
    expect(stage.request(x)).toBe(0);
    clock.fire(40);
    clock.pass(20 + 1_000);
    // The few that are always let alone, the one above among them; they go on meanwhile.
    for (let at = 1; at < activeMin; at++) expect(stage.request(x)).toBe(0);
    let refused = 0;
    for (let at = 0; at < 200; at++) {
      x.reset();
      x.startMs = clock.monotonicMs();
      x.priority = 2;
      refused += stage.request(x);
      stage.end();
    }
    expect(refused).toBeGreaterThan(185);
    expect(refused).toBeLessThan(200);
    expect(stage.refused[2]).toBe(refused);
    expect(x).toMatchObject({ status: 503, flag: "UO", reason: "proxy_overloaded" });
    expect(x.retryAfterMs).toBeGreaterThan(0);
  });
});
