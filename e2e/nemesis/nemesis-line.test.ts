import { expect, it } from "vitest";
import { isClean, lineOf } from "./nemesis-line.ts";
import type { RunResult } from "./run-faults.ts";

const result = (more: Partial<RunResult>): RunResult => ({ seed: 1, acknowledged: 10, sightings: 5, violations: [], silent: [], stopped: [], healMs: 100, ...more });

it("clean runs come to a clean line", () => {
  const line = lineOf([result({}), result({ healMs: 300 })], 0);
  expect(line).toMatchObject({ runs: 2, acknowledged: 20, lost: 0, resurrected: 0, divergent: 0, maxHealMs: 300, silentStates: 0, stopped: 0, failed: 0 });
  expect(isClean(line)).toBe(true);
});

it("the line counts what was found, a run that never healed as divergent, and one that could not be carried out as failed", () => {
  const line = lineOf([result({ violations: [{ kind: "lost", register: "a", detail: "" }] }), result({ unhealed: "never" }), result({ silent: ["a sentence"] }), result({ stopped: ["a sentence"] })], 1);
  expect(line).toMatchObject({ runs: 5, lost: 1, divergent: 1, silentStates: 1, stopped: 1, failed: 1 });
  for (const one of [result({ violations: [{ kind: "leaked", register: "a", detail: "" }] }), result({ unhealed: "never" }), result({ silent: ["a sentence"] }), result({ stopped: ["a sentence"] })]) expect(isClean(lineOf([one], 0))).toBe(false);
  expect(isClean(lineOf([], 1))).toBe(false);
});
