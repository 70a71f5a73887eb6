import { describe, expect, it } from "vitest";
import { arrivalMs, rampMs } from "./arrivals.ts";

describe("arrivalMs", () => {
  const times = Array.from({ length: 5_000 }, (_, number) => arrivalMs(number, 340));

  it("never goes back", () => {
    expect(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0))).toBe(true);
  });

  it("keeps the rate after the ramp, and half of it on average during the ramp", () => {
    const between = (from: number, to: number): number => times.filter((time) => time >= from && time < to).length;
    expect(between(0, rampMs)).toBeCloseTo((340 * rampMs) / 2000, -1);
    expect(between(rampMs, rampMs + 2_000)).toBeCloseTo(680, -1);
  });
});
