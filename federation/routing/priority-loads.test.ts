import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultOverprovisioning, panickedLevels, priorityLoads } from "./priority-loads.ts";

const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);
const hostCounts = fc.array(
  fc.integer({ min: 1, max: 50 }).chain((total) => fc.record({ total: fc.constant(total), healthy: fc.integer({ min: 0, max: total }) })),
  { minLength: 1, maxLength: 6 },
);

/** Envoy's algorithm as its documentation words it: whole percents, and what rounding leaves goes to the first healthy level. */
function envoyLoads(levels: readonly { readonly healthy: number; readonly total: number }[]): number[] {
  const health = levels.map((level) => Math.min(100, Math.floor((140 * level.healthy) / level.total)));
  const normalized = Math.min(100, sum(health));
  const loads = health.map(() => 0);
  let left = 100;
  if (normalized === 0) return loads;
  for (const [at, score] of health.entries()) {
    loads[at] = Math.min(left, Math.floor((score * 100) / normalized));
    left -= loads[at] ?? 0;
  }
  const first = health.findIndex((score) => score > 0);
  loads[first] = (loads[first] ?? 0) + left;
  return loads;
}

describe("priorityLoads", () => {
  test.each([
    // The table of Envoy's own documentation, P0 and P1 and P2 in percent of healthy endpoints.
    [[1, 1, 1], [1, 0, 0]],
    [[0.72, 0.72, 1], [1, 0, 0]],
    [[0.71, 0.71, 1], [0.994, 0.006, 0]],
    [[0.5, 0.5, 1], [0.7, 0.3, 0]],
    [[0.25, 1, 1], [0.35, 0.65, 0]],
    [[0.25, 0.25, 0.2], [0.3571, 0.3571, 0.2857]],
    [[0, 1, 1], [0, 1, 0]],
    [[0, 0, 0], [0, 0, 0]],
  ])("spreads %j as %j", (ratios, expected) => {
    for (const [at, load] of priorityLoads(ratios, defaultOverprovisioning).entries()) expect(load).toBeCloseTo(expected[at] ?? -1, 3);
  });

  test("sums to 1, or to 0 when nothing is healthy", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }), (ratios) => {
        const loads = priorityLoads(ratios, defaultOverprovisioning);
        expect(sum(loads)).toBeCloseTo(ratios.some((ratio) => ratio > 0) ? 1 : 0, 9);
        for (const load of loads) expect(load).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  test("agrees with Envoy's whole percents up to their rounding", () => {
    fc.assert(
      fc.property(hostCounts, (levels) => {
        // Envoy's percents round a level with under 0.72 % of its hosts healthy down to none, which ours does not.
        const loads = priorityLoads(levels.map((level) => level.healthy / level.total), defaultOverprovisioning);
        const expected = envoyLoads(levels);
        const score = Math.max(1, Math.min(100, sum(levels.map((level) => Math.floor((140 * level.healthy) / level.total)))));
        // One percent of score lost to flooring in each level, blown up by the normalization, and one percent of load in each.
        const tolerance = (levels.length * 100) / score + levels.length + 1;
        for (const [at, load] of loads.entries()) expect(Math.abs(load * 100 - (expected[at] ?? 0))).toBeLessThanOrEqual(tolerance);
      }),
    );
  });

  test("gives a level more, never less, when it alone gets healthier", () => {
    const ratio = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(ratio, { minLength: 1, maxLength: 6 }), fc.nat(), ratio, (ratios, pick, better) => {
        const at = pick % ratios.length;
        const raised = ratios.map((value, level) => (level === at ? Math.max(value, better) : value));
        const before = priorityLoads(ratios, defaultOverprovisioning)[at] ?? 0;
        const after = priorityLoads(raised, defaultOverprovisioning)[at] ?? 0;
        expect(after).toBeGreaterThanOrEqual(before - 1e-9);
      }),
    );
  });

  test("moves the load of a dead level to the others", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 2, maxLength: 6 }), fc.nat(), (ratios, pick) => {
        const dead = pick % ratios.length;
        const loads = priorityLoads(ratios.map((value, level) => (level === dead ? 0 : value)), defaultOverprovisioning);
        expect(loads[dead]).toBe(0);
        expect(sum(loads)).toBeCloseTo(1, 9);
      }),
    );
  });
});

describe("panickedLevels", () => {
  test("does not panic while another level can take the rest", () => {
    expect(panickedLevels([0.2, 1], defaultOverprovisioning)).toEqual([false, false]);
  });

  test("panics in the levels under half healthy when all together cannot carry the traffic", () => {
    expect(panickedLevels([0.2, 0.3], defaultOverprovisioning)).toEqual([true, true]);
    expect(panickedLevels([0.6, 0], defaultOverprovisioning)).toEqual([false, true]);
  });

  test("is not fooled by rounding when the levels just carry the traffic", () => {
    expect(panickedLevels([0.5, 0.3 / 1.4], 1.4)).toEqual([false, false]);
  });
});
