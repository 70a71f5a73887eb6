import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import {
  createPlaceEvidence,
  defaultPlaceVerdictPolicy,
  placeCondition,
  recordPingTimeout,
  recordPlaceFailure,
  recordPlaceSlowEnd,
  recordPlaceSuccess,
  recordPong,
} from "./place-verdict.ts";
import type { PlaceEvidence, PlaceReport, PlaceVerdictPolicy } from "./place-verdict.ts";

const policy: PlaceVerdictPolicy = { ...defaultPlaceVerdictPolicy, outlier: { consecutiveFailures: 3, baseEjectionMs: 10_000, maxEjectionMs: 60_000 } };
const fresh = { endpointsReady: 2, endpointsTotal: 2, ageMs: 0 };
const old = { ...fresh, ageMs: 3_600_000 };

/** The condition of a place that is the service's only one. */
function alone(evidence: PlaceEvidence, report: PlaceReport, nowMs: number): PlaceCondition {
  return placeCondition(evidence, [], report, { policy, nowMs });
}

function failed(nowMs: number): PlaceEvidence {
  const evidence = createPlaceEvidence();
  for (let failure = 0; failure < 3; failure++) recordPlaceFailure(evidence, policy, nowMs);
  return evidence;
}

describe("without data-path evidence", () => {
  test("fresh reports make it healthy, old ones unknown, and neither lowers it", () => {
    expect(alone(createPlaceEvidence(), fresh, 5)).toMatchObject({ verdict: "healthy", lowered: false, rampRatio: 1 });
    expect(alone(createPlaceEvidence(), old, 5)).toMatchObject({ verdict: "unknown", lowered: false, rampRatio: 1 });
  });

  test("instances that are not heard make it unknown, whatever its gateway says of itself, until a request is answered", () => {
    const unheard = { ...fresh, endpointsReady: 0, endpointsUnknown: 2 };
    const evidence = createPlaceEvidence();
    recordPong(evidence, 5);
    expect(alone(evidence, unheard, 5)).toMatchObject({ verdict: "unknown", lowered: false, rampRatio: 1 });
    expect(alone(evidence, { ...unheard, endpointsReady: 1 }, 5)).toMatchObject({ verdict: "healthy" });
    recordPlaceSuccess(evidence, 6);
    expect(alone(evidence, unheard, 7)).toMatchObject({ verdict: "healthy" });
  });

  test("no ready instance makes it suspect, never lowered", () => {
    expect(alone(createPlaceEvidence(), { ...fresh, endpointsReady: 0 }, 5)).toMatchObject({ verdict: "suspect", lowered: false });
  });

  test("no report of any age or count lowers it", () => {
    const report = fc.record({ endpointsReady: fc.nat(9), endpointsTotal: fc.nat(9), ageMs: fc.nat() });
    fc.assert(
      fc.property(report, fc.nat(), (counts, nowMs) => {
        const condition = alone(createPlaceEvidence(), counts, nowMs);
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
    expect(alone(answered, old, 2_000).verdict).toBe("healthy");
    expect(alone(answered, old, 120_000).verdict).toBe("unknown");
    const ponged = createPlaceEvidence();
    recordPong(ponged, 1_000);
    expect(alone(ponged, old, 2_000).verdict).toBe("healthy");
  });

  test("one failure is suspect, a row of them is down", () => {
    const evidence = createPlaceEvidence();
    expect(recordPlaceFailure(evidence, policy, 0)).toBe(false);
    expect(alone(evidence, fresh, 1)).toMatchObject({ verdict: "suspect", lowered: false });
    recordPlaceFailure(evidence, policy, 2);
    expect(recordPlaceFailure(evidence, policy, 3)).toBe(true);
    expect(alone(evidence, fresh, 4)).toMatchObject({ verdict: "down", lowered: true, rampRatio: 0 });
  });

  test("one lost ping is suspect, two are down until one is answered", () => {
    const evidence = createPlaceEvidence();
    expect(recordPingTimeout(evidence, policy, 0)).toBe(false);
    expect(alone(evidence, fresh, 1).verdict).toBe("suspect");
    expect(recordPingTimeout(evidence, policy, 2)).toBe(true);
    expect(alone(evidence, fresh, 3)).toMatchObject({ verdict: "down", lowered: true });
    // The ejection is long over, but the gateway is still silent.
    expect(alone(evidence, fresh, 1_000_000)).toMatchObject({ verdict: "down", reason: "its gateway leaves pings unanswered" });
    recordPong(evidence, 1_000_001);
    expect(alone(evidence, fresh, 1_000_002)).toMatchObject({ verdict: "suspect", lowered: true });
  });
});

describe("slowness", () => {
  const all = (evidence: PlaceEvidence, others: readonly PlaceEvidence[], nowMs: number): PlaceCondition => placeCondition(evidence, others, fresh, { policy, nowMs });
  const slow = (evidence: PlaceEvidence, others: readonly PlaceEvidence[], nowMs: number, isBurst = false): boolean => recordPlaceSlowEnd(evidence, others, { isBurst, policy, nowMs });

  test("of the only place lowers nothing, and says why", () => {
    const place = createPlaceEvidence();
    for (let at = 0; at < 100; at++) expect(slow(place, [], at * 10)).toBe(false);
    expect(all(place, [], 1_000)).toMatchObject({ verdict: "suspect", lowered: false, rampRatio: 1, probeRatio: 0 });
    expect(all(place, [], 1_000).reason).toBe("100 % of its latest requests ended in timeouts or gateway errors, and there is no other place to go to");
  });

  test("without a comparison lowers nothing, but sends a few requests to get one", () => {
    const [here, there] = [createPlaceEvidence(), createPlaceEvidence()];
    for (let at = 0; at < 20; at++) expect(slow(here, [there], at * 10)).toBe(false);
    expect(all(here, [there], 200)).toMatchObject({ verdict: "suspect", lowered: false, probeRatio: defaultPlaceVerdictPolicy.probeRatio });
    // A few answers decide, wherever they are seen first.
    for (let at = 0; at < 6; at++) recordPlaceSuccess(there, 210 + at);
    expect(all(here, [there], 220)).toMatchObject({ verdict: "down", lowered: true, probeRatio: 0, reason: "most of its requests ended in timeouts or gateway errors while another place did clearly better" });
  });

  test("that others share lowers none of them", () => {
    const places = [createPlaceEvidence(), createPlaceEvidence(), createPlaceEvidence()];
    for (let at = 0; at < 600; at++) {
      const index = at % 3;
      slow(places[index] as PlaceEvidence, places.filter((_, other) => other !== index), at * 10, true);
    }
    for (const [index, place] of places.entries()) {
      const condition = all(place, places.filter((_, other) => other !== index), 6_000);
      expect(condition).toMatchObject({ verdict: "suspect", lowered: false, probeRatio: 0 });
      expect(condition.reason).toContain("other places do no better");
    }
  });

  test("of a place beside one that is down has nobody to lose against", () => {
    const [here, there] = [createPlaceEvidence(), failed(0)];
    for (let at = 0; at < 20; at++) expect(slow(here, [there], at * 10)).toBe(false);
    expect(all(here, [there], 200)).toMatchObject({ lowered: false, probeRatio: 0 });
  });

  test("lowers no longer than the comparison holds: a place that others cannot replace carries its part again", () => {
    const [here, there] = [createPlaceEvidence(), createPlaceEvidence()];
    for (let at = 0; at < 20; at++) slow(here, [there], at * 10);
    for (let at = 0; at < 8; at++) recordPlaceSuccess(there, 200);
    expect(all(here, [there], 210).lowered).toBe(true);
    for (let at = 0; at < 10; at++) slow(there, [here], 300 + at * 10);
    expect(all(here, [there], 400)).toMatchObject({ lowered: false, rampRatio: 0.1, reason: "traffic returns step by step" });
    expect(all(there, [here], 400).lowered).toBe(false);
  });

  test("in one burst is one moment, in several it lowers; an answer in between is none", () => {
    const [here, there] = [createPlaceEvidence(), createPlaceEvidence()];
    for (let at = 0; at < 50; at++) expect(slow(here, [there], at, true)).toBe(false);
    for (let at = 0; at < 8; at++) recordPlaceSuccess(there, 60);
    expect(all(here, [there], 70)).toMatchObject({ lowered: false, probeRatio: 0 });
    recordPlaceSuccess(here, 80);
    expect(slow(here, [there], 500, true)).toBe(false);
    expect(slow(here, [there], 1_000, true)).toBe(true);
    expect(all(here, [there], 1_001).lowered).toBe(true);
  });

  test.each([0.2, 0.4, 0.5, 0.6, 0.8, 1])("that hits all places by chance, %d of the requests, lowers none", (chance) => {
    const random = createSeededRandom(20);
    const usual: PlaceVerdictPolicy = { ...policy, outlier: { ...policy.outlier, consecutiveFailures: 5 } };
    let lowered = 0;
    for (let run = 0; run < 50; run++) {
      const [here, there] = [createPlaceEvidence(), createPlaceEvidence()];
      for (let nowMs = 0; nowMs < 20_000; nowMs += 20) {
        const [own, other] = random.next() < 0.3 ? [there, here] : [here, there];
        if (random.next() >= chance) recordPlaceSuccess(own, nowMs);
        else if (recordPlaceSlowEnd(own, [other], { isBurst: false, policy: usual, nowMs })) lowered++;
      }
    }
    expect(lowered).toBe(0);
  });

  test("of one place alone lowers it within two seconds, however long it was well before", () => {
    const [here, there] = [createPlaceEvidence(), createPlaceEvidence()];
    for (let nowMs = 0; nowMs < 60_000; nowMs += 20) recordPlaceSuccess(here, nowMs);
    let loweredAtMs = 0;
    // Fifty requests a second, one in ten of them elsewhere once it is suspected.
    for (let nowMs = 60_000; loweredAtMs === 0; nowMs += 20) {
      const { probeRatio } = all(here, [there], nowMs);
      if (probeRatio > 0 && nowMs % 200 === 0) recordPlaceSuccess(there, nowMs);
      else slow(here, [there], nowMs);
      if (all(here, [there], nowMs).lowered) loweredAtMs = nowMs;
      expect(nowMs).toBeLessThan(62_000);
    }
  });
});

describe("gateways that leave", () => {
  test("lower the place without a fault of it, and without a hold-down once others have come", () => {
    const evidence = createPlaceEvidence();
    recordPlaceSuccess(evidence, 500);
    evidence.leaving = true;
    expect(alone(evidence, fresh, 1_000)).toEqual({ verdict: "suspect", lowered: true, rampRatio: 0, probeRatio: 0, reason: "its gateways have announced that they end" });
    evidence.leaving = false;
    expect(alone(evidence, fresh, 3_000)).toMatchObject({ lowered: false });
    expect(alone(evidence, fresh, 13_000)).toMatchObject({ verdict: "healthy", rampRatio: 1 });
  });
});

describe("the return", () => {
  test("is a hold-down, then a ramp, then the whole share", () => {
    const evidence = failed(0);
    expect(alone(evidence, fresh, 9_999).verdict).toBe("down");
    expect(alone(evidence, fresh, 10_000)).toMatchObject({ lowered: true, rampRatio: 0 });
    expect(alone(evidence, fresh, 14_999)).toMatchObject({ lowered: true, rampRatio: 0 });
    expect(alone(evidence, fresh, 15_000)).toMatchObject({ lowered: false, rampRatio: 0.1 });
    expect(alone(evidence, fresh, 20_000).rampRatio).toBeCloseTo(0.55);
    expect(alone(evidence, fresh, 25_000)).toMatchObject({ verdict: "healthy", rampRatio: 1 });
  });

  test("one failure during it lowers the place again at once", () => {
    for (const nowMs of [12_000, 18_000]) {
      const evidence = failed(0);
      alone(evidence, fresh, 10_000);
      recordPlaceSuccess(evidence, nowMs - 1);
      expect(recordPlaceFailure(evidence, policy, nowMs)).toBe(true);
      expect(alone(evidence, fresh, nowMs + 1)).toMatchObject({ verdict: "down", lowered: true });
      expect(evidence.requests.ejectedUntilMs - nowMs).toBe(20_000);
    }
  });

  test("after it, a single failure is only suspect again", () => {
    const evidence = failed(0);
    alone(evidence, fresh, 10_000);
    recordPlaceSuccess(evidence, 24_000);
    expect(recordPlaceFailure(evidence, policy, 30_000)).toBe(false);
    expect(alone(evidence, fresh, 30_001)).toMatchObject({ verdict: "suspect", lowered: false, rampRatio: 1 });
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
        const condition = alone(evidence, fresh, nowMs);
        expect(condition.rampRatio === 0).toBe(condition.lowered);
        if (!bad) expect(condition.lowered).toBe(false);
        if (condition.verdict === "down") expect(condition.lowered).toBe(true);
      }
      recordPong(evidence, nowMs);
      for (let step = 0; step < 60; step++) alone(evidence, fresh, (nowMs += 2_000));
      expect(alone(evidence, fresh, nowMs)).toMatchObject({ lowered: false, rampRatio: 1 });
    }),
    { numRuns: 300 },
  );
});
