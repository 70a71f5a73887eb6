import { describe, expect, it } from "vitest";
import { drillMatrix, scoreDrill, type DrillRecord } from "./drill-score.ts";
import type { RequestWindow } from "./request-window.ts";

function window(startMs: number, ok: Readonly<Record<string, number>>, extra: Partial<RequestWindow> = {}): RequestWindow {
  const total = Object.values(ok).reduce((sum, count) => sum + count, 0);
  return { startMs, sent: 34, ok, failed: 0, failedIdempotent: 0, latencies: total === 0 ? [] : [[180, total]], stallMs: 0, ...extra };
}

/** Home users around a kill at 1050 and a return at 2000; each window holds about 34 requests. */
function record(home: readonly RequestWindow[], extra: Partial<DrillRecord> = {}): DrillRecord {
  const before = Array.from({ length: 10 }, (_, index) => window(index * 100, { eu: 34 }));
  return {
    region: "eu",
    windowMs: 100,
    beganAtMs: 0,
    killAtMs: 1050,
    returnAtMs: undefined,
    endedAtMs: 4000,
    inFlightAtKill: 60,
    windows: new Map([["eu", [...before, ...home]]]),
    observerStallMs: 3,
    ...extra,
  };
}

describe("scoreDrill", () => {
  it("ends the shift with the first whole window in which 99 % of the displaced succeed", () => {
    const score = scoreDrill(record([window(1000, { eu: 17 }), window(1100, {}), window(1200, { us: 20 }, { failed: 10, failedIdempotent: 0 }), window(1300, { us: 34 }), window(1400, { us: 34 })]));
    expect(score.detectMs).toBe(250);
    expect(score.shiftMs).toBe(350);
    expect(score).toMatchObject({ failed: 10, failedIdempotent: 0, inFlightAtKill: 60, recoverMs: null });
  });

  it("does not count the window in which the kill fell, nor answers that the dead region had sent", () => {
    const score = scoreDrill(record([window(1000, { us: 34 }), window(1100, { eu: 34 }), window(1200, { eu: 3, us: 31 })]));
    expect(score.detectMs).toBe(250);
    expect(score.shiftMs).toBe(250);
  });

  it("tells the rate of the last whole windows before the kill, over all regions", () => {
    expect(scoreDrill(record([])).requestsPerSecond).toBe(340);
    const slow = Array.from({ length: 30 }, (_, index) => window(index * 100, { eu: 1 }, { sent: index < 10 ? 1 : 34 }));
    expect(scoreDrill(record([], { killAtMs: 3_050, windows: new Map([["eu", slow], ["us", slow]]) })).requestsPerSecond).toBe(680);
  });

  it("takes a trickle for no shift", () => {
    const score = scoreDrill(record([window(1100, { us: 2 }), window(1200, { us: 5 }), window(1300, { us: 30 })]));
    expect(score.detectMs).toBe(150);
    expect(score.shiftMs).toBe(350);
  });

  it("says null when the users were never served again", () => {
    const score = scoreDrill(record([window(1100, {}, { failed: 34, failedIdempotent: 30 }), window(1200, {}, { failed: 34, failedIdempotent: 30 })]));
    expect(score).toMatchObject({ detectMs: null, shiftMs: null, failed: 68, failedIdempotent: 60 });
  });

  it("counts the recovery from the return to the first window served at home", () => {
    const home = [window(1100, { us: 34 }), window(2000, { us: 34 }), window(2100, { us: 20, eu: 14 }), window(2200, { eu: 34 })];
    expect(scoreDrill(record(home, { returnAtMs: 2000 })).recoverMs).toBe(300);
  });

  it("takes one request served at home for no recovery where few requests come", () => {
    const before = Array.from({ length: 10 }, (_, index) => window(index * 100, { eu: 2 }, { sent: 2 }));
    const mixed = Array.from({ length: 10 }, (_, index) => window(2000 + index * 100, index % 2 === 0 ? { eu: 2 } : { us: 2 }));
    const back = Array.from({ length: 10 }, (_, index) => window(3000 + index * 100, { eu: 2 }));
    const windows = new Map([["eu", [...before, window(1100, { us: 2 }), ...mixed, ...back]]]);
    expect(scoreDrill(record([], { windows, returnAtMs: 2000 })).recoverMs).toBe(2000);
  });

  it("tells apart what failed while the shift went on from what failed before and after", () => {
    const during = [window(1000, {}, { failed: 3, failedIdempotent: 3 }), window(1100, { us: 30 }, { failed: 4, failedIdempotent: 4 }), window(1200, { us: 34 })];
    expect(scoreDrill(record(during))).toMatchObject({ shiftMs: 250, failedIdempotent: 7, failedIdempotentOutsideShift: 0 });
    const after = [...during, window(1300, { us: 33 }, { failed: 1, failedIdempotent: 1 })];
    expect(scoreDrill(record(after)).failedIdempotentOutsideShift).toBe(1);
    const before = window(900, { eu: 30 }, { failed: 2, failedIdempotent: 2 });
    expect(scoreDrill(record([...during, before])).failedIdempotentOutsideShift).toBe(2);
  });

  it("takes the longest stall that anybody saw", () => {
    expect(scoreDrill(record([window(1100, {}, { stallMs: 250 })])).hostStallMsMax).toBe(250);
    expect(scoreDrill(record([], { observerStallMs: 300 })).hostStallMsMax).toBe(300);
  });

  it("counts requests of all regions, and only those of the drill", () => {
    const others: readonly RequestWindow[] = [window(100, { us: 10 }), window(5000, { us: 10 })];
    const base = record([]);
    const score = scoreDrill({ ...base, windows: new Map([...base.windows, ["us", others]]) });
    expect(score.requests).toBe(350);
  });
});

describe("drillMatrix", () => {
  it("has a row for every users' region and phase, the dead region first", () => {
    const base = record([window(1100, { us: 34 }), window(2200, { eu: 34 })], { returnAtMs: 2000 });
    const rows = drillMatrix({ ...base, windows: new Map([["ap", [window(100, { ap: 5 })]], ...base.windows]) });
    expect(rows.map((row) => `${row.users} ${row.phase} ${row.ok}`)).toEqual(["eu before 340", "eu during 34", "eu after 34", "ap before 5", "ap during 0", "ap after 0"]);
    expect(rows[1]).toMatchObject({ servedBy: { us: 34 }, p50Ms: 180, p99Ms: 180 });
    expect(rows[4]).toMatchObject({ p50Ms: null });
  });
});
