import { describe, expect, it } from "vitest";
import { drillObjection } from "./drill-guard.ts";
import type { RequestWindow } from "./request-window.ts";

/** Windows of 100 ms from 0 to `untilMs`, all alike. */
function windows(untilMs: number, each: Partial<RequestWindow> & { readonly latencyMs?: number } = {}): readonly RequestWindow[] {
  const { latencyMs = 180, ...rest } = each;
  return Array.from({ length: untilMs / 100 }, (_, index) => ({ startMs: index * 100, sent: 10, ok: { eu: 10 }, failed: 0, failedIdempotent: 0, latencies: [[latencyMs, 10]], stallMs: 0, ...rest }));
}

const users = (list: readonly RequestWindow[]) => [{ region: "eu", windows: list, workMs: 170 }];

describe("the guard of a drill", () => {
  it("has no objection to users who are served at home, and without a queue", () => {
    for (const latencyMs of [180, 500]) expect(drillObjection(users(windows(3_000, { latencyMs })), 3_000)).toBeUndefined();
  });

  it("has none to users who wait long because the work is long", () => {
    expect(drillObjection([{ region: "eu", windows: windows(3_000, { latencyMs: 1_200 }), workMs: 1_000 }], 3_000)).toBeUndefined();
  });

  it.each([
    ["users who have only begun", windows(500), "only begun"],
    ["nobody who answers", windows(3_000, { ok: {}, latencies: [] }), "nobody answers"],
    ["failures", windows(3_000, { failed: 1 }), "20 requests of eu's users failed"],
    ["answers to what was asked before the work became longer", windows(3_000, { latencyMs: 80 }), "no answers yet to requests of 170 ms of work"],
    ["users of whom most wait for their first answer", windows(3_000, { ok: { eu: 4 } }), "80 answers to 200 requests so far"],
    ["answers from elsewhere", windows(3_000, { ok: { eu: 8, us: 2 } }), "40 of 200 answers"],
    ["a queue", windows(3_000, { latencyMs: 1_500 }), "eu's users wait 1500 ms for 170 ms of work"],
  ])("objects to %s", (_what, list, text) => {
    expect(drillObjection(users(list), list.length * 100)).toContain(text);
  });

  it("finds no answer too quick or too slow where nobody knows the work", () => {
    for (const latencyMs of [1, 5_000]) expect(drillObjection([{ region: "eu", windows: windows(3_000, { latencyMs }) }], 3_000)).toBeUndefined();
  });

  it("looks only at the last two seconds", () => {
    expect(drillObjection(users([...windows(3_000, { failed: 1 }), ...windows(3_000).map((window) => ({ ...window, startMs: window.startMs + 3_000 }))]), 6_000)).toBeUndefined();
  });

  it("names every region with an objection", () => {
    const both = [...users(windows(3_000, { failed: 1 })), { region: "us", windows: [], workMs: 170 }];
    expect(drillObjection(both, 3_000)).toBe("20 requests of eu's users failed; us's users have only begun to call");
  });
});
