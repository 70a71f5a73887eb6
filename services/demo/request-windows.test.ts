import { describe, expect, it } from "vitest";
import { InFlightLog } from "./in-flight-log.ts";
import { latencyBucketMs, RequestWindows } from "./request-windows.ts";

const end = { latencyMs: 180, isIdempotent: true };

describe("request windows", () => {
  it("count each request where it was planned and where it ended", () => {
    const windows = new RequestWindows({ windowMs: 100, capacity: 10 });
    windows.countSent(199);
    windows.countEnd({ ...end, atMs: 300, servedRegion: "eu" });
    windows.countEnd({ ...end, atMs: 399, servedRegion: "us" });
    windows.countEnd({ ...end, atMs: 399, servedRegion: undefined });
    windows.countEnd({ ...end, atMs: 399, servedRegion: undefined, isIdempotent: false });
    expect(windows.between(0, 1000)).toEqual([
      { startMs: 100, sent: 1, ok: {}, failed: 0, failedIdempotent: 0, latencies: [], stallMs: 0 },
      { startMs: 300, sent: 0, ok: { eu: 1, us: 1 }, failed: 2, failedIdempotent: 1, latencies: [[latencyBucketMs(180), 2]], stallMs: 0 },
    ]);
  });

  it("are given only when they have wholly passed", () => {
    const windows = new RequestWindows({ windowMs: 100, capacity: 10 });
    windows.countSent(150);
    expect(windows.between(0, 199)).toEqual([]);
    expect(windows.between(100, 200)).toHaveLength(1);
    expect(windows.between(101, 300)).toEqual([]);
  });

  it("keep the longest stall, and only the newest windows", () => {
    const windows = new RequestWindows({ windowMs: 100, capacity: 3 });
    for (let atMs = 0; atMs < 1000; atMs += 100) windows.noteStall(atMs, atMs);
    windows.noteStall(950, 20);
    expect(windows.between(0, 10_000).map((window) => [window.startMs, window.stallMs])).toEqual([[700, 700], [800, 800], [900, 900]]);
  });
});

describe("latency buckets", () => {
  it("hold their values and are at most 5 % too high", () => {
    for (const latencyMs of [0.1, 1, 1.04, 7, 180, 181.3, 15_000]) {
      const bucketMs = latencyBucketMs(latencyMs);
      expect(bucketMs).toBeGreaterThanOrEqual(Math.max(1, latencyMs) - 0.01);
      expect(bucketMs).toBeLessThanOrEqual(Math.max(1, latencyMs) * 1.05 + 0.01);
    }
  });
});

describe("the in-flight log", () => {
  it("answers for a moment that has passed", () => {
    const log = new InFlightLog(8);
    const first = log.begin(100);
    const second = log.begin(150);
    log.begin(300);
    log.end(first, 200);
    log.end(second, 250);
    expect([99, 100, 150, 199, 200, 249, 250, 300].map((atMs) => log.countAt(atMs))).toEqual([0, 1, 2, 2, 1, 1, 0, 1]);
    expect(log.current).toBe(1);
  });

  it("forgets the oldest finished ones beyond its capacity, never the open ones", () => {
    const log = new InFlightLog(2);
    log.begin(0);
    for (let index = 0; index < 5; index++) log.end(log.begin(10), 20);
    expect(log.countAt(15)).toBe(3);
  });
});
