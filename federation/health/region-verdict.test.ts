import { describe, expect, test } from "vitest";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { Verdict } from "#federation/model/verdict.ts";
import { combineObservations, regionVerdict } from "./region-verdict.ts";

describe("regionVerdict", () => {
  test.each<[Verdict[], Verdict]>([
    [[], "unknown"],
    [["unknown", "unknown"], "unknown"],
    [["healthy", "unknown"], "healthy"],
    [["down", "down"], "down"],
    [["down", "unknown"], "suspect"],
    [["down", "healthy"], "suspect"],
    [["suspect"], "suspect"],
  ])("%j is %s", (places, expected) => expect(regionVerdict(places)).toBe(expected));
});

describe("combineObservations", () => {
  const regionOf = (observer: ClusterId): RegionId => observer.split("/")[0] as RegionId;
  const combine = (...entries: readonly (readonly [string, Verdict, number?])[]) =>
    combineObservations(
      entries.map(([observer, verdict, ageMs = 0]) => ({ observer: observer as ClusterId, region: "us" as RegionId, verdict, ageMs })),
      regionOf,
      10_000,
    );

  test("one observer behind a broken link does not condemn a region", () => {
    expect(combine(["eu/a", "down"], ["ap/a", "healthy"])).toEqual({ verdict: "suspect", observersDown: 1, observersHeard: 2 });
  });

  test("most observers outside do, whatever the region says of itself", () => {
    expect(combine(["eu/a", "down"], ["ap/a", "down"], ["eu/b", "healthy"], ["us/a", "healthy"])).toEqual({ verdict: "down", observersDown: 2, observersHeard: 3 });
  });

  test("old and unknown words do not count", () => {
    expect(combine(["eu/a", "down", 20_000], ["ap/a", "unknown"])).toEqual({ verdict: "unknown", observersDown: 0, observersHeard: 0 });
  });

  test("alone, a region's own word counts", () => {
    expect(combine(["us/a", "healthy"], ["eu/a", "unknown"]).verdict).toBe("healthy");
  });
});
