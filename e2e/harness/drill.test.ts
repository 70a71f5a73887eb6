import { describe, expect, it } from "vitest";
import { missesOf, shiftMsMax, type DrillReport } from "./drill.ts";

const rows = (["before", "during", "after"] as const).flatMap((phase) =>
  ["eu-west", "us-east"].map((users) => ({ users, phase, requests: 1_000, ok: 1_000, failedIdempotent: 0, servedBy: { [users]: 1_000 } as Record<string, number>, p50Ms: 10, p99Ms: 20 })),
);
const good: DrillReport = {
  drill: { requests: 6_000, requestsPerSecond: 560, failed: 4, failedIdempotent: 0, failedIdempotentOutsideShift: 0, inFlightAtKill: 50, detectMs: 200, shiftMs: 1_000, recoverMs: 4_000, hostStallMsMax: 20 },
  matrix: rows,
};

describe("a drill's figures", () => {
  it("pass at the very edge of every aim", () => {
    expect(missesOf(good, shiftMsMax.quiet)).toEqual([]);
  });

  it.each([
    [{ failedIdempotent: 1, failedIdempotentOutsideShift: 1 }, "1 repeatable requests failed outside the shift"],
    [{ inFlightAtKill: 49 }, "49 in flight at the kill"],
    [{ shiftMs: 1_001 }, "shift after 1001 ms"],
    [{ shiftMs: null }, "no shift"],
    [{ recoverMs: null }, "the users did not come home"],
  ])("with %j are a miss", (change, miss) => {
    expect(missesOf({ ...good, drill: { ...good.drill, ...change } }, shiftMsMax.quiet)).toEqual([miss]);
  });

  it("may take what a host takes where only a test looks, and more where a neighbour is known", () => {
    const slow = { ...good, drill: { ...good.drill, shiftMs: 1_900, failedIdempotent: 3 } };
    expect(missesOf(slow)).toEqual([]);
    expect(missesOf(slow, shiftMsMax.busy)).toEqual([]);
    expect(missesOf(slow, shiftMsMax.quiet)).toEqual(["shift after 1900 ms"]);
  });

  it("are a miss when a region's users were served elsewhere while it was healthy", () => {
    const matrix = good.matrix.map((row) => (row.phase === "before" && row.users === "us-east" ? { ...row, servedBy: { "us-east": 989, "eu-west": 11 } } : row));
    expect(missesOf({ ...good, matrix })).toEqual(["us-east: 98.9 % served at home"]);
  });

  it("are a miss without a matrix", () => {
    expect(missesOf({ ...good, matrix: [] })).toEqual(["no matrix"]);
  });
});
