import { describe, expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { CallerThrottle } from "./caller-throttle.ts";

/** Offers `perSecond` requests of one class to a target that takes `capacity` of them; returns what reached it and what it took, per second, once settled. */
function offer(throttle: CallerThrottle, options: { readonly perSecond: number; readonly capacity: number; readonly priority?: number; readonly fromMs?: number; readonly isBusy?: boolean }): { readonly sent: number; readonly taken: number } {
  const random = createSeededRandom(5);
  const seconds = 20;
  const { perSecond, capacity, priority = 1, fromMs = 0, isBusy = false } = options;
  let sent = 0;
  let taken = 0;
  for (let second = 0; second < seconds; second++) {
    let left = capacity;
    for (let at = 0; at < perSecond; at++) {
      const nowMs = fromMs + second * 1_000 + (at * 1_000) / perSecond;
      if (throttle.refuses(priority, random.next(), nowMs)) {
        throttle.held(nowMs);
        continue;
      }
      const isTaken = left > 0;
      left--;
      if (isTaken) throttle.accepted(nowMs);
      else throttle.refused(isBusy, nowMs);
      if (second < seconds / 2) continue;
      sent++;
      if (isTaken) taken++;
    }
  }
  return { sent: (sent * 2) / seconds, taken: (taken * 2) / seconds };
}

describe("throttling by the caller", () => {
  test("lets everything through while the far side takes it", () => {
    expect(offer(new CallerThrottle(), { perSecond: 200, capacity: 1_000 }).sent).toBe(200);
  });

  test("sends little more than the far side takes, whatever is asked, and all that it takes", () => {
    for (const perSecond of [400, 1_000, 5_000]) {
      const { sent, taken } = offer(new CallerThrottle(), { perSecond, capacity: 200 });
      expect(taken).toBeGreaterThan(0.95 * 200);
      expect(sent).toBeLessThan(1.8 * 200);
    }
  });

  test("sends hardly more than is taken where it is the far side's sidecar that has no time", () => {
    const { sent, taken } = offer(new CallerThrottle(), { perSecond: 1_000, capacity: 200, isBusy: true });
    expect(taken).toBeGreaterThan(0.95 * 200);
    expect(sent).toBeLessThan(1.35 * 200);
  });

  test("holds the lowest class back most", () => {
    const sent = [0, 1, 2].map((priority) => offer(new CallerThrottle(), { perSecond: 2_000, capacity: 200, priority }).sent);
    expect(sent[0]).toBeGreaterThan(sent[1] ?? 0);
    expect(sent[1]).toBeGreaterThan(sent[2] ?? 0);
  });

  test("notices within seconds that there is room again", () => {
    const throttle = new CallerThrottle();
    offer(throttle, { perSecond: 1_000, capacity: 100 });
    expect(throttle.refusedRatio(1, 20_000)).toBeGreaterThan(0.5);
    expect(offer(throttle, { perSecond: 1_000, capacity: 2_000, fromMs: 20_000 }).taken).toBeGreaterThan(980);
  });

  test("a few refusals say nothing, and a far side that takes nothing is still asked", () => {
    const throttle = new CallerThrottle();
    for (let at = 0; at < 9; at++) throttle.refused(false, 0);
    expect(throttle.refuses(1, 0, 0)).toBe(false);
    expect(offer(new CallerThrottle(), { perSecond: 1_000, capacity: 0 }).sent).toBeGreaterThan(0);
  });
});
