import { expect, test } from "vitest";
import { policiesText, policyMissesOf } from "./policies-run.ts";

const line = { policies: 1_000, planMs: 9_999, applyMs: 90_000, planAfterApplyMs: 9_999, planAfterApplyChanges: 0 };

test("plans have an aim, and the apply has none", () => {
  expect(policyMissesOf(line)).toEqual([]);
  expect(policyMissesOf({ ...line, planMs: 10_000, planAfterApplyMs: 12_340, planAfterApplyChanges: 2 })).toEqual(["the first plan took 10.0 s, aim: under 10 s", "the plan after the apply took 12.3 s, aim: under 10 s", "a plan after the apply has 2 changes"]);
});

test("every policy is a block of its own", () => {
  expect(policiesText(3).match(/resource "atoll_traffic_policy" "p\d"/g)).toHaveLength(3);
});
