import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RetryBudget, retryFloor, vainRetryCost } from "./retry-budget.ts";

function takeAll(budget: RetryBudget, nowMs: number): number {
  let taken = 0;
  while (budget.tryTake(nowMs)) taken++;
  return taken;
}

test("allows a few retries to a service without traffic", () => {
  expect(takeAll(new RetryBudget(0.2), 5)).toBe(retryFloor);
});

test("allows a fifth of the requests that were answered, over ten seconds", () => {
  const budget = new RetryBudget(0.2);
  let taken = 0;
  for (let request = 0; request < 1000; request++) {
    budget.recordAnswered(request * 10);
    if (budget.tryTake(request * 10)) taken++;
  }
  expect(taken).toBeGreaterThanOrEqual(199);
  expect(taken).toBeLessThanOrEqual(200 + retryFloor);
});

test("allows next to none once nothing is answered", () => {
  const budget = new RetryBudget(0.2);
  for (let request = 0; request < 1000; request++) budget.recordAnswered(request * 10);
  expect(takeAll(budget, 9_999)).toBe(40);
  let taken = 0;
  for (let request = 0; request < 1000; request++) if (budget.tryTake(12_000 + request * 10)) taken++;
  expect(taken).toBeLessThanOrEqual(retryFloor);
});

test("allows a third of that where retries are in vain", () => {
  const budget = new RetryBudget(0.2);
  for (let request = 0; request < 200; request++) budget.recordAnswered(500);
  let taken = 0;
  while (budget.tryTake(600)) {
    budget.recordVain(600);
    taken++;
  }
  expect(taken).toBe(Math.ceil(40 / vainRetryCost));
  expect(takeAll(budget, 10_100)).toBe(retryFloor);
});

test("forgets what is older than ten seconds", () => {
  const budget = new RetryBudget(0.2);
  for (let request = 0; request < 1000; request++) budget.recordAnswered(500);
  expect(takeAll(budget, 900)).toBe(200);
  expect(takeAll(budget, 9_900)).toBe(0);
  expect(takeAll(budget, 10_100)).toBe(retryFloor);
});

test("survives a clock that stands still and one that leaps", () => {
  const budget = new RetryBudget(0.5);
  for (let request = 0; request < 10; request++) budget.recordAnswered(50_000);
  expect(takeAll(budget, 49_000)).toBe(5);
  expect(takeAll(budget, 9e9)).toBe(retryFloor);
});

test("agrees with a list of all events", () => {
  const event = fc.record({ afterMs: fc.nat(4000), happens: fc.constantFrom("answer", "retry", "vainRetry") });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const budget = new RetryBudget(0.2);
      const answered: number[] = [];
      const retries: number[] = [];
      const charged: number[] = [];
      let nowMs = 0;
      for (const { afterMs, happens } of events) {
        nowMs += afterMs;
        const within = (list: readonly number[], seconds: number): number => list.filter((second) => Math.floor(nowMs / 1000) - second < seconds).length;
        if (happens === "answer") {
          budget.recordAnswered(nowMs);
          answered.push(Math.floor(nowMs / 1000));
          continue;
        }
        const expected = within(retries, 10) < retryFloor || [10, 2].every((seconds) => within(charged, seconds) < within(answered, seconds) * 0.2);
        expect(budget.tryTake(nowMs)).toBe(expected);
        if (!expected) continue;
        if (happens === "vainRetry") budget.recordVain(nowMs);
        retries.push(Math.floor(nowMs / 1000));
        charged.push(...Array.from({ length: happens === "vainRetry" ? vainRetryCost : 1 }, () => Math.floor(nowMs / 1000)));
      }
    }),
  );
});
