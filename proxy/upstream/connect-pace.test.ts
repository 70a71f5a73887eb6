import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { ConnectPace } from "./connect-pace.ts";

/** What a pace allows when nothing is in progress and enough time for any burst has passed. */
const rested = (pace: ConnectPace, nowMs: number): number => pace.allowed({ connecting: 0, open: 0, waiting: 0 }, nowMs);

describe("ConnectPace", () => {
  it("allows all while connects take what they can take, near or far", () => {
    for (const tookMs of [0.4, 9, 170]) {
      const pace = new ConnectPace(64);
      for (let at = 0; at < 50; at++) pace.ended(tookMs + (at % 2) * 15, at * 5);
      expect(rested(pace, 250)).toBe(64);
    }
  });

  it("allows few when they take many times as long, and all again a while after", () => {
    const pace = new ConnectPace(64);
    pace.ended(3, 0);
    for (let at = 1; at <= 20; at++) pace.ended(400, at * 20);
    expect(rested(pace, 400)).toBeLessThanOrEqual(4);
    expect(rested(pace, 3_400)).toBeGreaterThan(20);
    expect(rested(pace, 10_000)).toBe(64);
  });

  it("counts what a connect waits for a processor, however long the way", () => {
    const near = new ConnectPace(64);
    const far = new ConnectPace(64);
    near.ended(5, 0);
    far.ended(170, 0);
    for (let at = 1; at <= 20; at++) {
      near.ended(5 + 300, at * 20);
      far.ended(170 + 300, at * 20);
    }
    expect(Math.abs(rested(far, 400) - rested(near, 400))).toBeLessThanOrEqual(1);
  });

  it("believes a longer way in the end", () => {
    const pace = new ConnectPace(64);
    pace.ended(20, 0);
    for (let at = 1; at <= 200; at++) pace.ended(120, at * 10);
    expect(rested(pace, 2_000)).toBe(64);
  });

  it("lets the connections to a target double each second after the first burst", () => {
    const pace = new ConnectPace(64);
    const openAfter: number[] = [];
    let open = 0;
    for (let nowMs = 0; nowMs <= 4_000; nowMs++) {
      // Connects here take no time, and there are always requests that want one.
      for (; pace.allowed({ connecting: 10, open, waiting: 0 }, nowMs) > 10; open++) pace.began(open, nowMs);
      if (nowMs % 1_000 === 0) openAfter.push(open);
    }
    const [atOnce = 0, ...later] = openAfter;
    expect(atOnce).toBe(64);
    later.forEach((count, at) => expect(count / (openAfter[at] ?? 1)).toBeGreaterThan(1.9));
    later.forEach((count, at) => expect(count / (openAfter[at] ?? 1)).toBeLessThan(2.8));
  });

  it("allows one for eight requests that wait, however slow connects are", () => {
    const pace = new ConnectPace(64);
    for (let at = 0; at <= 20; at++) pace.ended(at === 0 ? 5 : 2_000, at * 20);
    const allowedFor = (waiting: number): number => pace.allowed({ connecting: 0, open: 10, waiting }, 400);
    expect([0, 32, 160, 2_000].map(allowedFor)).toEqual([4, 4, 20, 64]);
  });

  it("always allows a few, and never more than all", () => {
    const step = fc.record({ laterMs: fc.integer({ min: 0, max: 3_000 }), wanted: fc.integer({ min: 0, max: 300 }), tookMs: fc.double({ min: 0, max: 60_000, noNaN: true }) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(step, { maxLength: 50 }), (most, steps) => {
        const pace = new ConnectPace(most);
        let nowMs = 0;
        for (const { laterMs, wanted, tookMs } of steps) {
          nowMs += laterMs;
          let connecting = 0;
          for (; connecting < wanted && connecting < pace.allowed({ connecting, open: connecting, waiting: 0 }, nowMs); connecting++) pace.began(connecting, nowMs);
          expect(connecting).toBeGreaterThanOrEqual(Math.min(4, most, wanted));
          expect(connecting).toBeLessThanOrEqual(most);
          pace.ended(tookMs, nowMs);
        }
      }),
    );
  });
});
