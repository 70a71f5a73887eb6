import { describe, expect, test } from "vitest";
import { HopPings } from "./hop-pings.ts";

/** Pings a peer that answers after `roundTripMs`, so that the way is known; returns when the last answer came. */
function measured(pings: HopPings, roundTrips: readonly number[]): number {
  let nowMs = 0;
  for (const roundTripMs of roundTrips) {
    nowMs += 10_000;
    const nonce = pings.due(nowMs, true);
    expect(nonce).toBeGreaterThan(0);
    nowMs += roundTripMs;
    pings.heard(nowMs);
    pings.answered(nonce, nowMs);
  }
  return nowMs;
}

describe("pings in band", () => {
  test("a busy connection that speaks is asked only to measure the way", () => {
    const pings = new HopPings();
    let nowMs = measured(pings, [20]);
    for (let step = 0; step < 50; step++) {
      nowMs += 50;
      pings.heard(nowMs);
      expect(pings.due(nowMs, true)).toBe(0);
    }
  });

  test("a silent one is doubted within three round trips and 350 ms of its last byte", () => {
    for (const roundTripMs of [0.2, 40, 140]) {
      const pings = new HopPings();
      const silentMs = measured(pings, Array.from({ length: 20 }, () => roundTripMs));
      let nowMs = silentMs;
      while (pings.silence(nowMs) === "none") {
        pings.due(nowMs, true);
        nowMs += Math.min(pings.quietMs(nowMs, true), 20);
      }
      expect(nowMs - silentMs).toBeLessThanOrEqual(3 * roundTripMs + 350);
      expect(nowMs - silentMs).toBeGreaterThanOrEqual(3 * roundTripMs);
    }
  });

  test("a way is as long as the shortest of three echoes: a busy process makes some late, and says nothing by one", () => {
    const pings = new HopPings();
    measured(pings, [300, 40]);
    expect(pings.wayMs).toBe(0);
    const busy = new HopPings();
    measured(busy, [300, 3, 250]);
    expect(busy.wayMs).toBeCloseTo(3);
  });

  test("any byte breaks the silence", () => {
    const pings = new HopPings();
    let nowMs = measured(pings, [10]) + 10_000;
    expect(pings.due(nowMs, true)).toBeGreaterThan(0);
    for (let step = 0; step < 20; step++) {
      nowMs += 150;
      pings.heard(nowMs);
      expect(pings.silence(nowMs)).toBe("none");
    }
  });

  test("silence is an end after three seconds, or four times what the way explains, and no silence at all with the next byte", () => {
    const silentFor = (roundTripMs: number, isWord: (pings: HopPings, nowMs: number) => boolean): number => {
      const pings = new HopPings();
      let nowMs = measured(pings, Array.from({ length: 20 }, () => roundTripMs)) + 60;
      const askedMs = nowMs;
      pings.due(nowMs, true);
      while (!isWord(pings, nowMs)) nowMs += 10;
      return nowMs - askedMs;
    };
    const isEnd = (pings: HopPings, nowMs: number): boolean => pings.silence(nowMs) === "end";
    expect(silentFor(1, isEnd)).toBe(3_000);
    expect(silentFor(400, isEnd)).toBeGreaterThanOrEqual(4 * (3 * 400 + 250));
    const spoke = (pings: HopPings, nowMs: number): boolean => {
      if (pings.silence(nowMs) !== "doubt") return false;
      pings.heard(nowMs);
      return pings.silence(nowMs) === "none";
    };
    expect(silentFor(1, spoke)).toBeLessThan(300);
  });

  test("round trips that vary make it patient", () => {
    const bound = (roundTrips: readonly number[]): number => {
      const pings = new HopPings();
      let nowMs = measured(pings, roundTrips) + 10_000;
      const askedMs = nowMs;
      pings.due(nowMs, true);
      while (pings.silence(nowMs) === "none") nowMs += 10;
      return nowMs - askedMs;
    };
    expect(bound(Array.from({ length: 40 }, () => 50))).toBeLessThanOrEqual(410);
    expect(bound(Array.from({ length: 40 }, (_, at) => (at % 4 === 0 ? 800 : 20)))).toBeGreaterThan(800);
  });
});
