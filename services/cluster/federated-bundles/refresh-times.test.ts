import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { fetchRetryMs, refreshAfterMs, refreshMsBounds, retryAfterMs } from "./refresh-times.ts";

const middle = { next: () => 0.5, bytes: (length: number) => new Uint8Array(length) };

it("asks as the document hints, within bounds", () => {
  expect([0, 1, 300, 3_600, 604_800].map((hint) => refreshAfterMs(hint, middle))).toEqual([60_000, 60_000, 300_000, 3_600_000, 3_600_000]);
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (hint, seed) => {
      const ms = refreshAfterMs(hint, createSeededRandom(seed));
      expect(ms).toBeGreaterThanOrEqual(refreshMsBounds.min * 0.9);
      expect(ms).toBeLessThanOrEqual(refreshMsBounds.max * 1.1);
    }),
  );
});

it("asks one that fails less and less often, and never gives it up", () => {
  expect([1, 2, 3, 7, 1_000].map((failures) => retryAfterMs(failures, middle))).toEqual([5_000, 10_000, 20_000, fetchRetryMs.max, fetchRetryMs.max]);
});
