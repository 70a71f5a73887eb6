import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createPlaceEvidence,
  defaultPlaceVerdictPolicy,
  placeCondition,
  recordPingTimeout,
  recordPlaceFailure,
  recordPlaceSuccess,
  recordPong,
} from "./place-verdict.ts";
import type { PlaceEvidence, PlaceVerdictPolicy } from "./place-verdict.ts";

const policy: PlaceVerdictPolicy = { ...defaultPlaceVerdictPolicy, outlier: { consecutiveFailures: 3, baseEjectionMs: 10_000, maxEjectionMs: 60_000 } };
const fresh = { endpointsReady: 2, endpointsTotal: 2, ageMs: 0 };
const old = { ...fresh, ageMs: 3_600_000 };

function failed(nowMs: number): PlaceEvidence {
  const evidence = createPlaceEvidence();
  for (let failure = 0; failure < 3; failure++) recordPlaceFailure(evidence, policy, nowMs);
  return evidence;
}

describe("without data-path evidence", () => {
  test("fresh reports make it healthy, old ones unknown, and neither lowers it", () => {
    expect(placeCondition(createPlaceEvidence(), fresh, policy, 5)).toMatchObject({ verdict: "healthy", lowered: false, rampRatio: 1 });
    expect(placeCondition(createPlaceEvidence(), old, policy, 5)).toMatchObject({ verdict: "unknown", lowered: false, rampRatio: 1 });
  });

  test("no ready instance makes it suspect, never lowered", () => {
    expect(placeCondition(createPlaceEvidence(), { ...fresh, endpointsReady: 0 }, policy, 5)).toMatchObject({ verdict: "suspect", lowered: false });
  });

  test("no report of any age or count lowers it", () => {
    const report = fc.record({ endpointsReady: fc.nat(9), endpointsTotal: fc.nat(9), ageMs: fc.nat() });
    fc.assert(
      fc.property(report, fc.nat(), (counts, nowMs) => {
        const condition = placeCondition(createPlaceEvidence(), counts, policy, nowMs);
        expect(condition.lowered).toBe(false);
        expect(condition.verdict).not.toBe("down");
      }),
    );
  });
});

describe("with data-path evidence", () => {
  test("an answered request or ping outweighs the age of the report", () => {
    const answered = createPlaceEvidence();
    recordPlaceSuccess(answered, 1_000);
    expect(placeCondition(answered, old, policy, 2_000).verdict).toBe("healthy");
    expect(placeCondition(answered, old, policy, 120_000).verdict).toBe("unknown");
    const ponged = createPlaceEvidence();
    recordPong(ponged, 1_000);
    expect(placeCondition(ponged, old, policy, 2_000).verdict).toBe("healthy");
  });

  test("one failure is suspect, a row of them is down", () => {
    const evidence = createPlaceEvidence();
    expect(recordPlaceFailure(evidence, policy, 0)).toBe(false);
    expect(placeCondition(evidence, fresh, policy, 1)).toMatchObject({ verdict: "suspect", lowered: false });
    recordPlaceFailure(evidence, policy, 2);
    expect(recordPlaceFailure(evidence, policy, 3)).toBe(true);
    expect(placeCondition(evidence, fresh, policy, 4)).toMatchObject({ verdict: "down", lowered: true, rampRatio: 0 });
  });

  test("one lost ping is suspect, two are down until one is answered", () => {
    const evidence = createPlaceEvidence();
    expect(recordPingTimeout(evidence, policy, 0)).toBe(false);
    expect(placeCondition(evidence, fresh, policy, 1).verdict).toBe("suspect");
    expect(recordPingTimeout(evidence, policy, 2)).toBe(true);
    expect(placeCondition(evidence, fresh, policy, 3)).toMatchObject({ verdict: "down", lowered: true });
    // The ejection is long over, but the gateway is still silent.
    expect(placeCondition(evidence, fresh, policy, 1_000_000)).toMatchObject({ verdict: "down", reason: "its gateway leaves pings unanswered" });
    recordPong(evidence, 1_000_001);
    expect(placeCondition(evidence, fresh, policy, 1_000_002)).toMatchObject({ verdict: "suspect", lowered: true });
  });
});

describe("the return", () => {
  test("is a hold-down, then a ramp, then the whole share", () => {
    const evidence = failed(0);
    expect(placeCondition(evidence, fresh, policy, 9_999).verdict).toBe("down");
    expect(placeCondition(evidence, fresh, policy, 10_000)).toMatchObject({ lowered: true, rampRatio: 0 });
    expect(placeCondition(evidence, fresh, policy, 14_999)).toMatchObject({ lowered: true, rampRatio: 0 });
    expect(placeCondition(evidence, fresh, policy, 15_000)).toMatchObject({ lowered: false, rampRatio: 0.1 });
    expect(placeCondition(evidence, fresh, policy, 20_000).rampRatio).toBeCloseTo(0.55);
    expect(placeCondition(evidence, fresh, policy, 25_000)).toMatchObject({ verdict: "healthy", rampRatio: 1 });
  });

  test("one failure during it lowers the place again at once", () => {
    for (const nowMs of [12_000, 18_000]) {
      const evidence = failed(0);
      placeCondition(evidence, fresh, policy, 10_000);
      recordPlaceSuccess(evidence, nowMs - 1);
      expect(recordPlaceFailure(evidence, policy, nowMs)).toBe(true);
      expect(placeCondition(evidence, fresh, policy, nowMs + 1)).toMatchObject({ verdict: "down", lowered: true });
      expect(evidence.requests.ejectedUntilMs - nowMs).toBe(20_000);
    }
  });

  test("after it, a single failure is only suspect again", () => {
    const evidence = failed(0);
    placeCondition(evidence, fresh, policy, 10_000);
    recordPlaceSuccess(evidence, 24_000);
    expect(recordPlaceFailure(evidence, policy, 30_000)).toBe(false);
    expect(placeCondition(evidence, fresh, policy, 30_001)).toMatchObject({ verdict: "suspect", lowered: false, rampRatio: 1 });
  });
});

test("whatever happens, only failures and silence lower a place, and quiet brings every place back", () => {
  const event = fc.record({ afterMs: fc.nat(8_000), kind: fc.constantFrom("success", "failure", "pong", "silence", "look") });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), (events) => {
      const evidence = createPlaceEvidence();
      let nowMs = 0;
      let bad = false;
      for (const { afterMs, kind } of events) {
        nowMs += afterMs;
        if (kind === "success") recordPlaceSuccess(evidence, nowMs);
        if (kind === "pong") recordPong(evidence, nowMs);
        if (kind === "failure") recordPlaceFailure(evidence, policy, nowMs);
        if (kind === "silence") recordPingTimeout(evidence, policy, nowMs);
        bad ||= kind === "failure" || kind === "silence";
        const condition = placeCondition(evidence, fresh, policy, nowMs);
        expect(condition.rampRatio === 0).toBe(condition.lowered);
        if (!bad) expect(condition.lowered).toBe(false);
        if (condition.verdict === "down") expect(condition.lowered).toBe(true);
      }
      recordPong(evidence, nowMs);
      for (let step = 0; step < 60; step++) placeCondition(evidence, fresh, policy, (nowMs += 2_000));
      expect(placeCondition(evidence, fresh, policy, nowMs)).toMatchObject({ lowered: false, rampRatio: 1 });
    }),
    { numRuns: 300 },
  );
});
