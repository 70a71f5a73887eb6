import { describe, expect, it } from "vitest";
import { DrillGuard } from "./drill-guard.ts";
import type { RequestWindow } from "./request-window.ts";

/** Windows of 100 ms from 0 to `untilMs`, all alike. */
function windows(untilMs: number, each: Partial<RequestWindow> & { readonly latencyMs?: number } = {}): readonly RequestWindow[] {
  const { latencyMs = 180, ...rest } = each;
  return Array.from({ length: untilMs / 100 }, (_, index) => ({ startMs: index * 100, sent: 10, ok: { eu: 10 }, failed: 0, failedIdempotent: 0, latencies: [[latencyMs, 10]], stallMs: 0, ...rest }));
}

const users = (list: readonly RequestWindow[]) => [{ region: "eu", windows: list }];

describe("the guard of a drill", () => {
  it("has no objection to users who are served at home, well and as ever", () => {
    const guard = new DrillGuard();
    for (const nowMs of [3_000, 6_000]) expect(guard.objection(users(windows(nowMs)), nowMs)).toBeUndefined();
  });

  it.each([
    ["users who have only begun", windows(500), "only begun"],
    ["nobody who answers", windows(3_000, { ok: {}, latencies: [] }), "nobody answers"],
    ["failures", windows(3_000, { failed: 1 }), "20 requests of eu's users failed"],
    ["answers from elsewhere", windows(3_000, { ok: { eu: 8, us: 2 } }), "40 of 200 answers"],
  ])("objects to %s", (_what, list, text) => {
    expect(new DrillGuard().objection(users(list), list.length * 100)).toContain(text);
  });

  it("objects while users wait far longer than they did at best, and no longer", () => {
    const guard = new DrillGuard();
    expect(guard.objection(users(windows(3_000)), 3_000)).toBeUndefined();
    expect(guard.objection(users(windows(6_000, { latencyMs: 1_500 })), 6_000)).toBe("eu's users wait 1500 ms, and 180 ms at best");
    expect(guard.objection(users(windows(9_000, { latencyMs: 300 })), 9_000)).toBeUndefined();
  });

  it("names every region with an objection", () => {
    const both = [...users(windows(3_000, { failed: 1 })), { region: "us", windows: [] }];
    expect(new DrillGuard().objection(both, 3_000)).toBe("20 requests of eu's users failed; us's users have only begun to call");
  });
});
