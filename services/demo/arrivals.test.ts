import { describe, expect, it } from "vitest";
import { arrivalMs } from "./arrivals.ts";

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
