import { describe, expect, it } from "vitest";
import { DrainRate } from "./drain-rate.ts";

/** Answers one of `from` each `everyMs` until `until` are left. */
function drain(rate: DrainRate, from: number, until: number, everyMs: number): void {
  for (let inUse = from, nowMs = 1_000; inUse > until; inUse--, nowMs += everyMs) rate.sample(nowMs, inUse, 5);
}

describe("DrainRate", () => {
  it("is how fast those who were there are answered, while most of them are still there", () => {
    const rate = new DrainRate();
    rate.begin();
    drain(rate, 40, 0, 10);
    expect(rate.perMs).toBeCloseTo(0.1);
    // What is left keeps fewer workers busy, and says nothing of all.
    rate.sample(90_000, 2, 5);
    expect(rate.perMs).toBeCloseTo(0.1);
  });

  it("is unknown after too few answers, within a turn of a late loop, and where a caller has left", () => {
    const rate = new DrainRate();
    rate.begin();
    drain(rate, 10, 0, 10);
    expect(rate.perMs).toBe(0);
    rate.begin();
    drain(rate, 40, 0, 0);
    expect(rate.perMs).toBe(0);
    rate.begin();
    drain(rate, 40, 20, 10);
    expect(rate.perMs).toBeGreaterThan(0);
    rate.spoil();
    expect(rate.perMs).toBe(0);
    rate.begin();
    drain(rate, 40, 20, 20);
    expect(rate.perMs).toBeCloseTo(0.05);
  });
});
