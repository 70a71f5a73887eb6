import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createOutlierState, isEjected, recordFailure, recordSuccess } from "./outlier-ejection.ts";
import type { OutlierState } from "./outlier-ejection.ts";

const policy = { consecutiveFailures: 5, baseEjectionMs: 30_000, maxEjectionMs: 100_000 };

function fail(state: OutlierState, times: number, nowMs: number): boolean {
  let ejected = false;
  for (let time = 0; time < times; time++) ejected = recordFailure(state, policy, nowMs) || ejected;
  return ejected;
}

test("ejects at the fifth failure in a row, not before", () => {
  const state = createOutlierState();
  expect(fail(state, 4, 10)).toBe(false);
  expect(fail(state, 1, 10)).toBe(true);
  expect(isEjected(state, 30_009)).toBe(true);
  expect(isEjected(state, 30_010)).toBe(false);
});

test("a success in between starts the count again", () => {
  const state = createOutlierState();
  fail(state, 4, 10);
  recordSuccess(state, 11);
  expect(fail(state, 4, 12)).toBe(false);
});

test("one failure after the return ejects again, for longer, up to the maximum", () => {
  const state = createOutlierState();
  let nowMs = 0;
  fail(state, 5, nowMs);
  const lengths: number[] = [state.ejectedUntilMs - nowMs];
  for (let round = 0; round < 4; round++) {
    nowMs = state.ejectedUntilMs;
    expect(recordFailure(state, policy, nowMs)).toBe(true);
    lengths.push(state.ejectedUntilMs - nowMs);
  }
  expect(lengths).toEqual([30_000, 60_000, 90_000, 100_000, 100_000]);
});

test("a success after the return asks for a whole row of failures again", () => {
  const state = createOutlierState();
  fail(state, 5, 0);
  recordSuccess(state, 30_000);
  expect(fail(state, 4, 30_001)).toBe(false);
});

test("an answer during the ejection does not end it", () => {
  const state = createOutlierState();
  fail(state, 5, 0);
  recordSuccess(state, 10);
  expect(isEjected(state, 20)).toBe(true);
  expect(recordFailure(state, policy, 30_000)).toBe(true);
});

test("calm time makes the next ejection short again", () => {
  const state = createOutlierState();
  fail(state, 5, 0);
  recordFailure(state, policy, 30_000);
  expect(state.ejections).toBe(2);
  recordSuccess(state, 90_000);
  expect(fail(state, 5, 90_000 + 2 * 30_000)).toBe(true);
  expect(state.ejections).toBe(1);
});

test("whatever happens, an ejection is between base and maximum and starts only after a failure", () => {
  const event = fc.record({ afterMs: fc.nat(40_000), success: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 100 }), (events) => {
      const state = createOutlierState();
      let nowMs = 0;
      for (const { afterMs, success } of events) {
        nowMs += afterMs;
        const before = state.ejectedUntilMs;
        if (success) recordSuccess(state, nowMs);
        else if (recordFailure(state, policy, nowMs)) {
          expect(nowMs).toBeGreaterThanOrEqual(before);
          expect(state.ejectedUntilMs - nowMs).toBeGreaterThanOrEqual(policy.baseEjectionMs);
          expect(state.ejectedUntilMs - nowMs).toBeLessThanOrEqual(policy.maxEjectionMs);
          continue;
        }
        expect(state.ejectedUntilMs).toBe(before);
      }
    }),
  );
});
