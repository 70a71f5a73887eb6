import { describe, expect, test } from "vitest";
import type { Clock } from "#federation/runtime/clock.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { LocalStall } from "./local-stall.ts";
import { SleepyClock } from "./sleepy-clock-fixture.ts";

function setUp() {
  const host = new VirtualClock();
  const clock = new SleepyClock(host);
  return { host, clock, stall: new LocalStall(clock) };
}

describe("LocalStall", () => {
  test("sees nothing in a process that runs", async () => {
    const { host, stall } = setUp();
    await host.advance(10_000);
    expect(stall).toMatchObject({ count: 0, totalMs: 0 });
    expect(stall.awakeMs()).toBe(10_000);
  });

  test("takes a sleep for one stall, less its grace, and its clock stands meanwhile", async () => {
    const { host, clock, stall } = setUp();
    await host.advance(1_000);
    clock.sleep(5_000);
    await host.advance(6_000);
    expect(stall.count).toBe(1);
    expect(stall.totalMs).toBeGreaterThanOrEqual(4_900);
    expect(stall.totalMs).toBeLessThanOrEqual(5_000);
    expect(stall.awakeMs()).toBe(7_000 - stall.totalMs);
  });

  test("knows of a stall before its own late timer has fired: bytes are read first", () => {
    let nowMs = 0;
    const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, schedule: () => ({ [Symbol.dispose]: () => undefined }) };
    const stall = new LocalStall(clock);
    nowMs = 3_000;
    expect(stall.totalMs).toBeGreaterThan(2_900);
    expect(stall.awakeMs()).toBeLessThan(100);
    expect(stall.since(2_000)).toBe(1_000);
    expect(stall.longestSince(2_999)).toBeGreaterThan(2_900);
  });

  test("says how much of a span was slept, and the longest sleep that touches it", async () => {
    const { host, clock, stall } = setUp();
    for (const lengthMs of [500, 2_000, 300]) {
      await host.advance(1_000);
      clock.sleep(lengthMs);
      await host.advance(lengthMs);
    }
    await host.advance(1_000);
    const nowMs = host.monotonicMs();
    expect(stall.since(0)).toBeCloseTo(stall.totalMs, 6);
    expect(stall.since(nowMs - 900)).toBe(0);
    // In the middle of the second sleep.
    expect(stall.since(3_000)).toBeGreaterThan(1_500 + 200);
    expect(stall.since(3_000)).toBeLessThan(1_500 + 300);
    expect(stall.longestSince(3_000)).toBeGreaterThan(1_900);
    expect(stall.longestSince(nowMs - 1_100)).toBeLessThan(300);
  });

  test("its clock never runs backwards, nor faster than the real one, whatever the sleeps", async () => {
    const random = createSeededRandom(4);
    const { host, clock, stall } = setUp();
    let lastMs = 0;
    for (let step = 0; step < 1_000; step++) {
      if (random.next() < 0.1) clock.sleep(random.next() * 300);
      const byMs = random.next() * 100;
      await host.advance(byMs);
      const nowMs = stall.awakeMs();
      expect(nowMs).toBeGreaterThanOrEqual(lastMs);
      expect(nowMs - lastMs).toBeLessThanOrEqual(byMs + 1e-6);
      lastMs = nowMs;
    }
    expect(stall.count).toBeGreaterThan(20);
  });

  test("fires a bound after so much time awake, and not when it was disposed", async () => {
    const { host, clock, stall } = setUp();
    const fired: number[] = [];
    stall.schedule(2_000, () => fired.push(host.monotonicMs()));
    const disposed = stall.schedule(2_000, () => fired.push(-1));
    await host.advance(500);
    clock.sleep(10_000);
    await host.advance(11_000);
    disposed[Symbol.dispose]();
    expect(fired).toEqual([]);
    await host.advance(1_000);
    expect(fired).toHaveLength(1);
    expect(fired[0]).toBeGreaterThan(11_800);
    expect(fired[0]).toBeLessThan(12_001);
  });

  test("ends its beat when disposed", async () => {
    const { host, clock, stall } = setUp();
    stall[Symbol.dispose]();
    clock.sleep(1_000);
    await host.advance(5_000);
    expect(stall).toMatchObject({ count: 0, totalMs: 0 });
  });
});
