import { expect, test } from "vitest";
import { missesOf, type RunLine } from "./run-line.ts";

const passed: RunLine = { target: "processes", resources: 2, applyMs: 45_000, firstCrossRegionRequestMs: 20, planAfterApplyChanges: 0, driftFound: true, driftRepaired: true, failedIdempotent: 0, leftAfterDestroy: 0 };

test("a run that reached every aim has missed none", () => {
  expect(missesOf(passed)).toEqual([]);
});

test.each([
  [{ applyMs: 90_000 }, "the apply took 90.0 s, aim: under 90 s"],
  [{ planAfterApplyChanges: 1 }, "a plan after the apply has 1 changes"],
  [{ driftFound: false }, "what was taken away by hand was not found by a plan"],
  [{ driftRepaired: false }, "what was taken away by hand was not put back"],
  [{ failedIdempotent: 3 }, "3 repeatable requests failed outside of the shift"],
  [{ leftAfterDestroy: 2 }, "2 things were left by the destroy"],
])("names what was missed: %j", (part, miss) => {
  expect(missesOf({ ...passed, ...part })).toEqual([miss]);
});
