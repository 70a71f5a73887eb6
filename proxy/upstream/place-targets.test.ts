import { beforeEach, describe, expect, test } from "vitest";
import type { LoadReport } from "../admission/load-report.ts";
import { remoteAt } from "../http/proxy-fixture.ts";
import { AddressLoad } from "./address-load.ts";
import { PlaceTargets, type Target } from "./place-targets.ts";
import type { UpstreamPool } from "./upstream.ts";

describe("the room that a target tells of", () => {
  let said: LoadReport | undefined;
  let reports = 0;
  let reportedAtMs = Number.NEGATIVE_INFINITY;
  let isUnreachable = false;
  let target: Target;

  /** A pool of which nothing is used but what its far side said. */
  const pool = {
    load: new AddressLoad(),
    instances: 1,
    get isUnreachable() {
      return isUnreachable;
    },
    get report() {
      return said;
    },
    get reports() {
      return reports;
    },
    get reportedAtMs() {
      return reportedAtMs;
    },
  } as unknown as UpstreamPool;

  const say = (headroom: number, nowMs: number): void => {
    said = { queueDelayMs: 0, utilizationRatio: 0, headroom };
    reports++;
    reportedAtMs = nowMs;
  };

  beforeEach(() => {
    said = undefined;
    reports = 0;
    reportedAtMs = Number.NEGATIVE_INFINITY;
    isUnreachable = false;
    const [first] = new PlaceTargets(remoteAt("near", 1), () => pool, 0).targets;
    if (first === undefined) throw new Error("the fixture has a target");
    target = first;
  });

  test("is used up by what is sent, until it tells of more", () => {
    say(2, 0);
    for (const expected of [true, true, false]) {
      expect(target.hasRoom(0)).toBe(expected);
      target.sent(0);
    }
    say(1, 1);
    expect(target.hasRoom(1)).toBe(true);
  });

  test("is not believed for a while after a refusal", () => {
    say(5, 0);
    target.overloaded(false, 0);
    expect(target.hasRoom(499)).toBe(false);
    expect(target.hasRoom(500)).toBe(true);
  });

  test("is asked for by one request a second once what it said is old, and by none where it never said anything or cannot be reached", () => {
    expect(target.hasRoom(100_000)).toBe(false);
    say(0, 0);
    expect(target.hasRoom(0)).toBe(false);
    expect(target.hasRoom(999)).toBe(false);
    isUnreachable = true;
    expect(target.hasRoom(1_000)).toBe(false);
    isUnreachable = false;
    expect(target.hasRoom(1_000)).toBe(true);
    target.sent(1_000);
    expect(target.hasRoom(1_999)).toBe(false);
    expect(target.hasRoom(2_000)).toBe(true);
    target.sent(2_000);
    say(30, 2_005);
    expect(target.hasRoom(2_010)).toBe(true);
  });

  test("is believed for as many as it named however long ago that was: who is refused elsewhere has nowhere else to go", () => {
    say(30, 0);
    const taken = Array.from({ length: 40 }, () => {
      if (!target.hasRoom(9_000)) return 0;
      target.sent(9_000);
      return 1;
    });
    expect(taken.filter((count) => count === 1)).toHaveLength(30);
  });

  test("is not found out anew for as long as it is new, though nobody looked since", () => {
    say(0, 5_000);
    expect(target.hasRoom(5_500)).toBe(false);
    expect(target.hasRoom(6_000)).toBe(true);
  });

  test("is believed of nobody who cannot be reached, however new the word", () => {
    say(30, 0);
    isUnreachable = true;
    expect(target.hasRoom(1)).toBe(false);
  });
});
