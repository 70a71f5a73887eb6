import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConcurrencyLimit } from "./concurrency-limit.ts";

const bounds = { initial: 32, min: 2, max: 64 };

/** Requests that keep `inUse(limit)` in the application, whose times follow from that: a closed loop of Little's law. */
function drive(limit: ConcurrencyLimit, timeMs: (inUse: number) => number, forMs: number, fromMs: number, demand = Number.POSITIVE_INFINITY): number {
  let nowMs = fromMs;
  while (nowMs < fromMs + forMs) {
    const inUse = Math.max(1, Math.min(demand, Math.floor(limit.limit)));
    const tookMs = timeMs(inUse);
    nowMs += tookMs / inUse;
    limit.sample(nowMs, tookMs, inUse, inUse, true);
  }
  return nowMs;
}

const workers = (count: number, ms: number) => (inUse: number) => ms * Math.max(1, inUse / count);

describe("ConcurrencyLimit", () => {
  it.each([[8, 10], [1, 5], [20, 100], [3, 40]] as const)("settles a little above %d workers of %d ms", (count, ms) => {
    const limit = new ConcurrencyLimit(bounds);
    drive(limit, workers(count, ms), 20_000, 0);
    for (let at = 0, nowMs = 20_000; at < 50; at++) {
      nowMs = drive(limit, workers(count, ms), 200, nowMs);
      if (!limit.probing) expect(limit.limit).toBeGreaterThanOrEqual(count);
      expect(limit.limit).toBeLessThan(count * 1.8 + 2);
    }
    expect(limit.baselineMs).toBeCloseTo(ms, 0);
  });

  it("grows while more in use take no longer, up to its maximum", () => {
    const limit = new ConcurrencyLimit(bounds);
    drive(limit, () => 20, 5_000, 0);
    expect(limit.limit).toBeGreaterThan(60);
    expect(limit.limit).toBeLessThanOrEqual(64);
  });

  it("does not move while demand uses less than half of it, however long requests take", () => {
    const limit = new ConcurrencyLimit(bounds);
    let nowMs = 0;
    for (const tookMs of [5, 5, 500, 5, 5_000, 50]) nowMs = drive(limit, () => tookMs, 4_000, nowMs, 12);
    expect(limit.limit).toBe(32);
  });

  it("returns to where it was when fewer requests are no faster", () => {
    const limit = new ConcurrencyLimit(bounds);
    let nowMs = drive(limit, workers(8, 10), 10_000, 0);
    const beforeLimit = limit.limit;
    nowMs = drive(limit, workers(8, 50), 3_000, nowMs);
    expect(limit.baselineMs).toBeCloseTo(50, 0);
    expect(Math.abs(limit.limit / beforeLimit - 1)).toBeLessThan(0.4);
  });

  it("is not bent by overload that lasts", () => {
    const limit = new ConcurrencyLimit(bounds);
    drive(limit, workers(6, 20), 600_000, 0);
    expect(limit.baselineMs).toBeLessThan(22);
    expect(limit.limit).toBeLessThan(12);
  });

  it("lets one long poll among many requests count as no more than eight of them", () => {
    const limit = new ConcurrencyLimit(bounds);
    let at = 0;
    drive(limit, () => (at++ % 100 === 99 ? 30_000 : 10), 20_000, 0, 12);
    expect(limit.latencyMs).toBeLessThan(30);
  });

  it("takes requests that take no time", () => {
    const limit = new ConcurrencyLimit(bounds);
    for (let nowMs = 0; nowMs < 1_000; nowMs++) limit.sample(nowMs, 0, 32, 32, true);
    expect(limit.limit).toBeGreaterThanOrEqual(32);
    expect(limit.limit).toBeLessThanOrEqual(64);
  });

  it("halves while most callers leave before they are answered", () => {
    const limit = new ConcurrencyLimit(bounds);
    for (let nowMs = 0; nowMs < 20_000; nowMs += 10) limit.sample(nowMs, 250, Math.floor(limit.limit), Math.floor(limit.limit), false);
    expect(limit.limit).toBe(2);
  });

  it("takes nothing for a queue from when callers gave up", () => {
    const limit = new ConcurrencyLimit();
    let nowMs = drive(limit, () => 80, 4_000, 0, 2);
    for (let count = 0; count < 4; count++) limit.sample((nowMs += 37), 80, 2, 2, true);
    // Callers used to 80 ms leave after 440, and then, told that this is usual, after 750; the application takes 2,200 now.
    for (let among = 3; among < 19; among++) limit.sample((nowMs += 37), 440, among + 12, among, false);
    nowMs += 1_000;
    for (let among = 38; among < 44; among++) limit.sample((nowMs += 37), 750, among + 12, among, false);
    expect(limit.limit).toBe(100);
  });

  it("never leaves its bounds, whatever it is told", () => {
    const samples = fc.array(fc.record({ gapMs: fc.double({ min: 0, max: 500, noNaN: true }), tookMs: fc.double({ min: 0, max: 60_000, noNaN: true }), inUse: fc.integer({ min: 1, max: 100 }), among: fc.integer({ min: 1, max: 100 }), isAnswered: fc.boolean() }), { minLength: 50, maxLength: 400 });
    fc.assert(
      fc.property(samples, (given) => {
        const limit = new ConcurrencyLimit(bounds);
        let nowMs = 0;
        for (const { gapMs, tookMs, inUse, among, isAnswered } of given) {
          nowMs += gapMs;
          limit.sample(nowMs, tookMs, inUse, among, isAnswered);
          expect(limit.limit).toBeGreaterThanOrEqual(limit.probing ? 1 : bounds.min);
          expect(limit.limit).toBeLessThanOrEqual(bounds.max);
          expect(Number.isFinite(limit.baselineMs)).toBe(true);
        }
      }),
    );
  });
});
