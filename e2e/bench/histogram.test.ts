import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Histogram } from "./histogram.ts";

test("an empty one says 0", () => {
  expect(new Histogram().quantileMicros(0.99)).toBe(0);
});

test("small values are exact", () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 50; value++) histogram.record(value);
  expect(histogram.quantileMicros(0.5)).toBe(25);
  expect(histogram.quantileMicros(1)).toBe(50);
});

test("agrees with a sorted list to within a sixty-fourth", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 30 }), { minLength: 1, maxLength: 200 }), fc.double({ min: 0, max: 1, noNaN: true }), (values, quantile) => {
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);
      const sorted = values.toSorted((left, right) => left - right);
      const exact = sorted[Math.max(1, Math.ceil(quantile * sorted.length)) - 1] ?? 0;
      const read = histogram.quantileMicros(quantile);
      expect(read).toBeGreaterThanOrEqual(exact);
      expect(read).toBeLessThanOrEqual(exact * (1 + 1 / 64) + 1);
      expect(histogram.maxMicros).toBe(sorted.at(-1));
    }),
  );
});
