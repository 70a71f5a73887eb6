import { expect, test } from "vitest";
import { scoreCallers, type CallerEnd } from "./container-callers.ts";

const ok = (atMs: number, region: string): CallerEnd => ({ atMs, isOk: true, region });
const failed = (atMs: number): CallerEnd => ({ atMs, isOk: false, region: "" });
const times = { beganAtMs: 100, killAtMs: 1_000, lostRegion: "us-east" };

test("counts what failed before the kill and after the shift of its caller, and not what failed between", () => {
  const one = [failed(50), ok(150, "us-east"), failed(200), ok(1_010, "us-east"), failed(1_100), ok(1_300, "ap-south"), ok(1_400, "ap-south")];
  const other = [ok(1_200, "ap-south"), failed(1_250)];
  expect(scoreCallers([one, other], times)).toEqual({ requests: 8, failed: 3, failedOutsideShift: 2, shiftMs: 300 });
});

test("knows no shift while one caller has not been served elsewhere", () => {
  expect(scoreCallers([[ok(1_200, "ap-south")], [ok(1_200, "us-east"), failed(1_300)]], times)).toEqual({ requests: 3, failed: 1, failedOutsideShift: 0, shiftMs: null });
});
