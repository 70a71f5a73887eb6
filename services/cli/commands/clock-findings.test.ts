import { describe, expect, it } from "vitest";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import { planeClockProblems, proxyClockProblems } from "./clock-findings.ts";

function seen(...clocks: readonly (number | undefined)[]): readonly string[] {
  const clusters = clocks.map((clockAheadMs, index) => ({ id: `shop-${index}`, connected: true, clockAheadMs }));
  return planeClockProblems({ clusters } as unknown as FederationStatus);
}

describe("clocks that are apart", () => {
  it("are named from thirty seconds on, with which way", () => {
    expect(seen(0, 29_000, undefined, -29_000)).toEqual([]);
    expect(seen(0, 42_000, -600_000)).toEqual([
      expect.stringMatching(/^the clock of the plane of shop-1 is 42 s ahead of that of the global plane, and certificates .*chrony/),
      expect.stringMatching(/^the clock of the plane of shop-2 is 10 min behind that of the global plane/),
    ]);
  });

  it("are the global plane's where all clusters say the same of it", () => {
    expect(seen(-600_000, -598_000)).toEqual([expect.stringMatching(/^the clock of the global plane is 10 min ahead of those of the planes of all clusters/)]);
    expect(seen(45_000, 900_000)).toEqual([expect.stringMatching(/^the clock of the global plane is 45 s behind those of/)]);
    expect(seen(45_000, -45_000)).toHaveLength(2);
    expect(seen(-600_000)).toEqual([expect.stringMatching(/^the clock of the plane of shop-0 is 10 min behind that of the global plane/)]);
  });

  it("are a proxy's by its own word", () => {
    expect(proxyClockProblems("shop-eu", { clocks: [{ instance: "catalog-1", aheadMs: -180_000 }] })).toEqual([expect.stringMatching(/^the clock of proxy catalog-1 in shop-eu is 3 min behind that of its plane/)]);
    expect(proxyClockProblems("shop-eu", {})).toEqual([]);
  });
});
