import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { describeHost, planForHost, type HostMeasurement } from "./host-plan.ts";

const sizes = { full: 29, small: 23 };
const quick: HostMeasurement = { processors: 8, shareRatio: 0.99, roundMicros: 150 };
const published: HostMeasurement = { processors: 2, shareRatio: 0.98, roundMicros: 250 };
const slow: HostMeasurement = { processors: 2, shareRatio: 0.98, roundMicros: 550 };
const busy: HostMeasurement = { ...slow, shareRatio: 0.5 };

describe("the plan for a host", () => {
  it("gives a quick host all users, and no more", () => {
    expect(planForHost(quick, sizes)).toMatchObject({ size: "full", ratePerSecond: 520, shortage: "none" });
  });

  it("takes at most 45 % of the processors, whatever they are worth", () => {
    for (const host of [published, slow]) {
      const plan = planForHost(host, sizes);
      expect(plan).toMatchObject({ size: "full", shortage: "none" });
      expect(plan.steadyRatio).toBeCloseTo(0.45, 2);
    }
    expect(planForHost(published, sizes).ratePerSecond).toBeGreaterThan(2 * planForHost(slow, sizes).ratePerSecond);
  });

  it("makes the federation smaller where half of the processors are taken, and says by what", () => {
    const plan = planForHost(busy, sizes);
    expect(plan).toMatchObject({ size: "small", shortage: "busy", ratePerSecond: 40 });
    expect(describeHost(busy, plan).join("\n")).toMatch(/others take 50 %.*\n.*too busy for three regions: there will be two/);
  });

  it("says that a host is small when nobody else is to blame", () => {
    const one = { ...slow, processors: 1 };
    expect(describeHost(one, planForHost(one, sizes)).join("\n")).toContain("too small for three regions");
  });

  it("leaves a federation as it is where there is no other size, and says what to expect", () => {
    const plan = planForHost(busy, { full: 29 });
    expect(plan.size).toBe("full");
    expect(describeHost(busy, plan).join("\n")).toContain("too busy for a federation of this size");
  });

  it("takes the rate that it is told", () => {
    expect(planForHost(busy, sizes, 300)).toMatchObject({ size: "small", ratePerSecond: 300 });
    expect(planForHost(quick, sizes, 12)).toMatchObject({ size: "full", ratePerSecond: 12 });
  });

  it("never asks less of a host that gives more", () => {
    const host = fc.record({ processors: fc.integer({ min: 1, max: 8 }), shareRatio: fc.double({ min: 0.01, max: 1, noNaN: true }), roundMicros: fc.double({ min: 20, max: 20_000, noNaN: true }) });
    fc.assert(
      fc.property(host, fc.double({ min: 1, max: 10, noNaN: true }), (weaker, factor) => {
        const plan = planForHost(weaker, { full: 29 });
        expect(Number.isInteger(plan.ratePerSecond)).toBe(true);
        expect(planForHost({ ...weaker, roundMicros: weaker.roundMicros / factor }, { full: 29 }).ratePerSecond).toBeGreaterThanOrEqual(plan.ratePerSecond);
      }),
    );
  });
});
