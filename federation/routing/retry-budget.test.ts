import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RetryBudget, retryFloor } from "./retry-budget.ts";

function takeAll(budget: RetryBudget, nowMs: number): number {
  let taken = 0;
  while (budget.tryTake(nowMs)) taken++;
  return taken;
}

test("allows a few retries to a service without traffic", () => {
  expect(takeAll(new RetryBudget(0.2), 5)).toBe(retryFloor);
});

test("allows a fifth of the last ten seconds' requests", () => {
  const budget = new RetryBudget(0.2);
  for (let request = 0; request < 1000; request++) budget.recordRequest(request * 10);
  expect(takeAll(budget, 9_999)).toBe(200);
});

test("forgets what is older than ten seconds", () => {
  const budget = new RetryBudget(0.2);
  for (let request = 0; request < 1000; request++) budget.recordRequest(500);
  expect(takeAll(budget, 900)).toBe(200);
  expect(takeAll(budget, 9_900)).toBe(0);
  expect(takeAll(budget, 10_100)).toBe(retryFloor);
});

test("survives a clock that stands still and one that leaps", () => {
  const budget = new RetryBudget(0.5);
  for (let request = 0; request < 10; request++) budget.recordRequest(50_000);
  expect(takeAll(budget, 49_000)).toBe(5);
  expect(takeAll(budget, 9e9)).toBe(retryFloor);
});

test("agrees with a list of all events", () => {
  const event = fc.record({ afterMs: fc.nat(4000), retry: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const budget = new RetryBudget(0.2);
      const requests: number[] = [];
      const retries: number[] = [];
      let nowMs = 0;
      for (const { afterMs, retry } of events) {
        nowMs += afterMs;
        const inWindow = (second: number): boolean => Math.floor(nowMs / 1000) - second < 10;
        if (!retry) {
          budget.recordRequest(nowMs);
          requests.push(Math.floor(nowMs / 1000));
          continue;
        }
        const expected = retries.filter(inWindow).length < Math.max(retryFloor, requests.filter(inWindow).length * 0.2);
        expect(budget.tryTake(nowMs)).toBe(expected);
        if (expected) retries.push(Math.floor(nowMs / 1000));
      }
    }),
  );
});
