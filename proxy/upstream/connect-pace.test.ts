import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { ConnectPace } from "./connect-pace.ts";

describe("ConnectPace", () => {
  it("allows all while connects take what they can take, near or far", () => {
    for (const tookMs of [0.4, 9, 170]) {
      const pace = new ConnectPace(64);
      for (let at = 0; at < 50; at++) pace.note(tookMs * (1 + (at % 2) * 0.6), at * 5);
      expect(pace.allowed(250)).toBe(64);
    }
  });

  it("allows few when they take many times as long, and all again a while after", () => {
    const pace = new ConnectPace(64);
    pace.note(3, 0);
    for (let at = 1; at <= 20; at++) pace.note(400, at * 20);
    expect(pace.allowed(400)).toBeLessThanOrEqual(4);
    expect(pace.allowed(3_400)).toBeGreaterThan(20);
    expect(pace.allowed(10_000)).toBe(64);
  });

  it("slows less for a far target that is slow by the same time", () => {
    const near = new ConnectPace(64);
    const far = new ConnectPace(64);
    near.note(5, 0);
    far.note(170, 0);
    for (let at = 1; at <= 20; at++) {
      near.note(5 + 300, at * 20);
      far.note(170 + 300, at * 20);
    }
    expect(far.allowed(400)).toBeGreaterThan(4 * near.allowed(400));
  });

  it("believes a longer way in the end", () => {
    const pace = new ConnectPace(64);
    pace.note(20, 0);
    for (let at = 1; at <= 200; at++) pace.note(120, at * 10);
    expect(pace.allowed(2_000)).toBe(64);
  });

  it("always allows one at least and never more than all", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.tuple(fc.double({ min: 0, max: 60_000, noNaN: true }), fc.integer({ min: 0, max: 10_000 })), { maxLength: 50 }), (most, samples) => {
        const pace = new ConnectPace(most);
        let nowMs = 0;
        for (const [tookMs, laterMs] of samples) {
          nowMs += laterMs;
          pace.note(tookMs, nowMs);
          expect(pace.allowed(nowMs)).toBeGreaterThanOrEqual(1);
          expect(pace.allowed(nowMs)).toBeLessThanOrEqual(most);
        }
      }),
    );
  });
});
