import { expect, it } from "vitest";
import { freshAgeMsMax, noStaleOrigins, originAgeMs, staleOriginsMax, staleOriginsOf } from "./stale-origins.ts";

it("names the origins that were not confirmed lately, and those that never were", () => {
  const stale = staleOriginsOf([["a", 0], ["b", freshAgeMsMax], ["c", 90_000], ["d", undefined]]);
  expect([...stale.named]).toEqual([["d", undefined], ["c", 90_000]]);
  expect(["a", "b", "c", "d"].map((origin) => originAgeMs(stale, origin, 1_000))).toEqual([1_000, 1_000, 91_000, undefined]);
  expect(staleOriginsOf([["a", 0]])).toBe(noStaleOrigins);
});

it("takes nobody for younger than he is where more are stale than are named", () => {
  const ages = Array.from({ length: staleOriginsMax + 10 }, (_, index) => [`c${index}`, 10_000 + index] as const);
  const stale = staleOriginsOf(ages);
  expect(stale.named.size).toBe(staleOriginsMax);
  for (const [origin, ageMs] of ages) expect(originAgeMs(stale, origin, 0)).toBeGreaterThanOrEqual(ageMs);
  expect(originAgeMs(staleOriginsOf(ages.map(([origin]) => [origin, undefined])), "c70", 0)).toBeUndefined();
});
