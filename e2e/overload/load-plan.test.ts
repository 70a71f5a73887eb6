import { expect, test } from "vitest";
import { plannedTimes, recoveredAfterMs, summarizePart, summarizeWindows, type LoadWindow } from "./load-plan.ts";

const windowOf = (parts: Partial<LoadWindow>): LoadWindow => ({ planned: 10, ok: 0, refused: 0, abandoned: 0, broken: 0, unsent: 0, okMicros: [], ...parts });
const good = windowOf({ ok: 10, okMicros: Array.from({ length: 10 }, (_, at) => 1_000 * (at + 1)) });
const bad = windowOf({ abandoned: 10 });
const repeat = (window: LoadWindow, count: number): LoadWindow[] => Array.from({ length: count }, () => window);

test("each request has a slot of its own, and a place in it", () => {
  const times = [...plannedTimes([{ requestsPerSecond: 10, seconds: 1 }, { requestsPerSecond: 100, seconds: 0.5 }])];
  expect(times.length).toBe(60);
  for (const [at, time] of times.slice(0, 10).entries()) {
    expect(time).toBeGreaterThanOrEqual(at * 100);
    expect(time).toBeLessThan((at + 1) * 100);
  }
  expect(times.slice(10).every((time) => time >= 1_000 && time < 1_500)).toBe(true);
  expect(times).toEqual([...plannedTimes([{ requestsPerSecond: 10, seconds: 1 }, { requestsPerSecond: 100, seconds: 0.5 }])]);
});

test("goodput is what was answered in time, for each second", () => {
  expect(summarizeWindows([...repeat(good, 5), ...repeat(bad, 5)], 500)).toMatchObject({ plannedPerSecond: 100, goodputPerSecond: 50, refusedRatio: 0 });
});

test("who left without an answer waited for the whole deadline", () => {
  expect(summarizeWindows(repeat(good, 10), 500)).toMatchObject({ p50Ms: 5, p99Ms: 10 });
  expect(summarizeWindows([good, bad, bad], 500)).toMatchObject({ p50Ms: 500, p99Ms: 500 });
});

test("who was refused did not wait", () => {
  const half = windowOf({ ok: 5, refused: 5, okMicros: [1_000, 2_000, 3_000, 4_000, 5_000] });
  expect(summarizeWindows([half], 500)).toMatchObject({ refusedRatio: 0.5, p99Ms: 5 });
});

test("a part is taken by its time", () => {
  expect(summarizePart({ startMs: 0, deadlineMs: 500, windows: [...repeat(bad, 10), ...repeat(good, 10)] }, 1, 1).goodputPerSecond).toBe(100);
});

test("recovered is the first whole second that is normal", () => {
  const normal = { goodputMin: 95, p99MsMax: 20 };
  const result = { startMs: 10_000, deadlineMs: 500, windows: [...repeat(good, 10), ...repeat(bad, 10), ...repeat(good, 3), bad, ...repeat(good, 12)] };
  // The end lies within the window from 11.9 s; the windows from 12.4 s on are good.
  expect(recoveredAfterMs(result, 11_950, normal)).toBe(450);
  expect(recoveredAfterMs(result, 13_000, normal)).toBeUndefined();
  expect(recoveredAfterMs(result, 10_000, { ...normal, p99MsMax: 5 })).toBeUndefined();
});
