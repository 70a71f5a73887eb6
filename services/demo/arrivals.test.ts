import { describe, expect, it } from "vitest";
import { arrivalMs, Arrivals } from "./arrivals.ts";

describe("arrivalMs", () => {
  const rampMs = 10_000;
  const times = Array.from({ length: 5_000 }, (_, number) => arrivalMs(number, { ratePerSecond: 340, rampMs }));
  const between = (from: number, to: number): number => times.filter((time) => time >= from && time < to).length;

  it("never goes back", () => {
    expect(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0))).toBe(true);
  });

  it("keeps the rate after the ramp, and half of it on average during the ramp", () => {
    expect(between(0, rampMs)).toBeCloseTo((340 * rampMs) / 2000, -1);
    expect(between(rampMs, rampMs + 2_000)).toBeCloseTo(680, -1);
  });

  it("is the rate from the start without a ramp", () => {
    expect([0, 1, 2].map((number) => arrivalMs(number, { ratePerSecond: 100, rampMs: 0 }))).toEqual([0, 10, 20]);
  });
});

describe("Arrivals", () => {
  it("are not planned before they begin", () => {
    expect(new Arrivals().nextMs).toBe(Number.POSITIVE_INFINITY);
  });

  it("take a new rate from the moment it is told, and owe nothing of the old one", () => {
    const arrivals = new Arrivals();
    arrivals.begin({ ratePerSecond: 100, rampMs: 0 }, 1_000);
    expect([arrivals.take(), arrivals.take(), arrivals.nextMs]).toEqual([1_000, 1_010, 1_020]);
    arrivals.begin({ ratePerSecond: 10, rampMs: 0 }, 1_015);
    expect([arrivals.take(), arrivals.take(), arrivals.nextMs]).toEqual([1_015, 1_115, 1_215]);
  });
});
