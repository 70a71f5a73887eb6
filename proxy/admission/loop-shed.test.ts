import { describe, expect, it } from "vitest";
import { serveMs, simulateLoop } from "./loop-fixture.ts";
import type { LoopResult } from "./loop-fixture.ts";
import { LoopShed } from "./loop-shed.ts";

/** Answers in time among requests that arrived in a span, as a share of what the processor can serve in it. */
function goodput({ seen }: LoopResult, fromMs: number, toMs: number): number {
  return (seen.filter(({ atMs, tookMs }) => tookMs !== undefined && atMs >= fromMs && atMs < toMs).length * serveMs) / (toMs - fromMs);
}

/** The share of a class that was answered in time. */
function served({ seen }: LoopResult, priority: number, fromMs: number, toMs: number): number {
  const its = seen.filter((each) => each.priority === priority && each.atMs >= fromMs && each.atMs < toMs);
  return its.filter(({ tookMs }) => tookMs !== undefined).length / its.length;
}

const lateAfter = ({ delays }: LoopResult, fromMs: number): readonly number[] => delays.filter(({ atMs }) => atMs >= fromMs).map(({ lateMs }) => lateMs);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("LoopShed", () => {
  it.each([[1.1, 0.95], [1.5, 0.85], [2, 0.72], [3, 0.48]])("keeps a processor that is asked for %d times what it can do at work for who is served", (load, share) => {
    const result = simulateLoop({ seed: 5, load: () => load, durationMs: 8_000 });
    expect(goodput(result, 2_000, 7_000)).toBeGreaterThan(share);
    const delays = lateAfter(result, 3_000);
    expect(mean(delays)).toBeGreaterThan(20);
    expect(mean(delays)).toBeLessThan(40);
    expect(Math.max(...delays)).toBeLessThan(70);
  });

  it("without it nobody is served in time", () => {
    expect(goodput(simulateLoop({ seed: 5, load: () => 1.5, durationMs: 8_000, isShedding: false }), 5_000, 7_000)).toBe(0);
  });

  it("refuses nobody while the loop is in time", () => {
    for (const seed of [1, 2, 3]) {
      const result = simulateLoop({ seed, load: () => 0.9, durationMs: 8_000 });
      expect(result.seen.filter(({ tookMs }) => tookMs === undefined)).toEqual([]);
    }
  });

  it("takes it from the lowest class first", () => {
    const result = simulateLoop({ seed: 5, load: () => 1.5, durationMs: 8_000, classes: [0.2, 0.5, 0.3] });
    expect(served(result, 0, 2_000, 7_000)).toBeGreaterThan(0.98);
    expect(served(result, 1, 2_000, 7_000)).toBeGreaterThan(0.7);
    expect(served(result, 2, 2_000, 7_000)).toBeLessThan(0.02);
  });

  it("lets all in again a second after the load has gone", () => {
    const result = simulateLoop({ seed: 5, load: (nowMs) => (nowMs >= 2_000 && nowMs < 5_000 ? 3 : 0.7), durationMs: 8_000 });
    expect(result.seen.filter(({ atMs, tookMs }) => atMs >= 6_000 && atMs < 7_900 && tookMs === undefined)).toEqual([]);
  });

  it("serves as before soon after the process stood still for five seconds", () => {
    const result = simulateLoop({ seed: 5, load: () => 0.7, durationMs: 11_000, stall: { atMs: 2_000, forMs: 5_000 } });
    expect(result.seen.filter(({ atMs, tookMs }) => atMs >= 9_000 && atMs < 10_900 && tookMs === undefined)).toEqual([]);
  });

  it("takes no single late tick for load: garbage collection, a neighbour, a start", () => {
    const shed = new LoopShed(30);
    let nowMs = 0;
    for (let at = 0; at < 100; at++) {
      const lateMs = at % 3 === 2 ? 0 : 400;
      nowMs += 20 + lateMs;
      shed.onLoopTick(lateMs, nowMs, 1);
      expect(shed.share).toBe(0);
      if (lateMs === 0) expect(shed.ratioFor(1, 400)).toBe(0);
    }
  });

  it("does not refuse for a processor that others keep busy, while it has little to do itself", () => {
    const shed = new LoopShed(30);
    for (let nowMs = 0; nowMs < 10_000; nowMs += 100) {
      shed.onLoopTick(80, nowMs, 0.3);
      expect([shed.share, shed.ratioFor(1, 400)]).toEqual([0, 0]);
    }
  });

  it("refuses at once when a second turn in a row lasts long, but never the critical for that", () => {
    const shed = new LoopShed(30);
    shed.onLoopTick(40, 60, 1);
    // A late turn of a few requests is late for something else, such as the handshakes after a region's death.
    for (let count = 0; count < 31; count++) expect(shed.ratioFor(1, 1_000)).toBe(0);
    expect([0, 1, 2].map((priority) => shed.ratioFor(priority, 59))).toEqual([0, 0, 0]);
    expect(shed.ratioFor(1, 120)).toBeCloseTo(0.5);
    expect([0, 1, 2].map((priority) => shed.ratioFor(priority, 1_000))).toEqual([0, 0.98, 0.98]);
  });
});
