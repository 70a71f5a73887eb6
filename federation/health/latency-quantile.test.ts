import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LatencyQuantile } from "./latency-quantile.ts";

test("a quantile is within a fifth of the exact one", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 20, maxLength: 300 }), fc.integer({ min: 1, max: 99 }), (samples, percent) => {
      const quantile = new LatencyQuantile();
      for (const sample of samples) quantile.record(sample, 0);
      const sorted = samples.toSorted((left, right) => left - right);
      const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? 0;
      const found = quantile.quantileMs(percent / 100) ?? 0;
      expect(found).toBeGreaterThanOrEqual(exact * 0.999);
      expect(found).toBeLessThanOrEqual(exact * 1.21);
    }),
  );
});

test("a few samples say nothing, and old ones fade", () => {
  const quantile = new LatencyQuantile();
  for (let at = 0; at < 19; at++) quantile.record(5, 0);
  expect(quantile.quantileMs(0.95)).toBeUndefined();
  for (let at = 0; at < 1_000; at++) quantile.record(5, 0);
  for (let second = 1; second <= 60; second++) for (let at = 0; at < 50; at++) quantile.record(500, second * 1_000);
  expect(quantile.quantileMs(0.5)).toBeGreaterThan(400);
});
