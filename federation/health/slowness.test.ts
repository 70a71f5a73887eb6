import { describe, expect, test } from "vitest";
import { believedRatio, compareSlowness, createSlowness, forgetSlowness, isSlow, recordAnswer, recordSlowEnd } from "./slowness.ts";
import type { Slowness } from "./slowness.ts";

/** `answered` answers and then `slow` slow ends, 10 ms apart from `fromMs`. */
function after(answered: number, slow: number, fromMs = 0): Slowness {
  const slowness = createSlowness();
  for (let at = 0; at < answered; at++) recordAnswer(slowness, fromMs + at * 10);
  for (let at = 0; at < slow; at++) recordSlowEnd(slowness, [], { isBurst: false, nowMs: fromMs + (answered + at) * 10 });
  return slowness;
}

describe("one target", () => {
  test("is slow when most of its latest requests end so, and not for a few among many", () => {
    expect(isSlow(after(0, 5), 5, 100)).toBe(true);
    expect(isSlow(after(100, 5), 1, 2_000)).toBe(false);
    expect(isSlow(after(100, 25), 5, 2_000)).toBe(true);
  });

  test("is not slow for one request, which proves little", () => {
    expect(isSlow(after(0, 1), 1, 10)).toBe(false);
    expect(believedRatio(after(0, 1))).toBeLessThan(believedRatio(after(0, 4)));
  });

  test("counts what ends at one moment once", () => {
    const slowness = createSlowness();
    for (let at = 0; at < 50; at++) recordSlowEnd(slowness, [], { isBurst: true, nowMs: 1_000 + at });
    expect(slowness.moments).toBe(1);
    recordSlowEnd(slowness, [], { isBurst: true, nowMs: 1_500 });
    expect(slowness.moments).toBe(2);
  });

  test("begins anew after answers, after a verdict, and after a minute without requests", () => {
    const answered = after(0, 6);
    for (let at = 0; at < 24; at++) recordAnswer(answered, 100);
    expect(answered.moments).toBe(0);
    const judged = after(0, 6);
    forgetSlowness(judged);
    expect(isSlow(judged, 1, 100)).toBe(false);
    const old = after(0, 6);
    expect(isSlow(old, 5, 60_100)).toBe(false);
    recordSlowEnd(old, [], { isBurst: false, nowMs: 61_000 });
    expect(old).toMatchObject({ ratio: 1, samples: 1, moments: 1 });
  });
});

describe("the comparison", () => {
  test("says slower only when another target does clearly better", () => {
    const own = believedRatio(after(0, 20));
    expect(compareSlowness(own, [after(10, 0)], 200)).toBe("slower");
    expect(compareSlowness(own, [after(10, 10), after(10, 0)], 200)).toBe("slower");
    expect(compareSlowness(own, [after(10, 5)], 200)).toBe("alike");
    expect(compareSlowness(own, [after(0, 20)], 200)).toBe("alike");
  });

  test("knows nothing of targets with few requests, or none of late", () => {
    const own = believedRatio(after(0, 20));
    expect(compareSlowness(own, [], 200)).toBe("unknown");
    expect(compareSlowness(own, [createSlowness(), after(2, 0)], 200)).toBe("unknown");
    expect(compareSlowness(own, [createSlowness(), after(0, 4)], 200)).toBe("partlyAlike");
    expect(compareSlowness(own, [after(10, 0)], 90_000)).toBe("unknown");
  });

  test("goes by what others did since it began, not by how well they were before", () => {
    const other = after(20, 0);
    const own = createSlowness();
    for (let at = 0; at < 5; at++) recordSlowEnd(own, [other], { isBurst: false, nowMs: 300 + at });
    expect(compareSlowness(believedRatio(own), [other], 400)).toBe("unknown");
    for (let at = 0; at < 5; at++) recordSlowEnd(other, [own], { isBurst: false, nowMs: 400 + at });
    expect(compareSlowness(believedRatio(own), [other], 500)).toBe("alike");
  });
});
