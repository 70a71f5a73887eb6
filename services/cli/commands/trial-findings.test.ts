import { expect, it } from "vitest";
import { trialProblems } from "./trial-findings.ts";

it("names a policy that was stopped, by which proxy, why, and what to do; and none that is only tried", () => {
  const known = { kind: "TrafficPolicy", id: "web/slow", generation: { epoch: 1, revision: 9 } } as const;
  expect(trialProblems("shop-eu", { policyTrials: [{ ...known, state: "stopped", proxies: ["edge-0"], cause: "refused", reason: "no such field" }] })).toEqual([
    "TrafficPolicy web/slow (revision 9 of the global plane) was stopped in shop-eu by proxy edge-0, which was told of it first: no such field; the other proxies keep the one before: write it anew, or put back what was before with `atoll rollback TrafficPolicy/web/slow`",
  ]);
  expect(trialProblems("shop-eu", { policyTrials: [{ ...known, state: "stopped", proxies: ["edge-0"], cause: "silent", reason: "it has not answered for 20 s", triedAgain: true }] })).toEqual([
    "TrafficPolicy web/slow (revision 9 of the global plane) is held back in shop-eu by proxy edge-0, which was told of it first: it has not answered for 20 s; it is tried again by itself, and the other proxies keep the one before until then",
  ]);
  expect(trialProblems("shop-eu", { policyTrials: [{ ...known, state: "tried", proxies: ["edge-0"] }] })).toEqual([]);
  expect(trialProblems("shop-eu", {})).toEqual([]);
});
