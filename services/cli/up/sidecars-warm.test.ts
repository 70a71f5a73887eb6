import { describe, expect, it } from "vitest";
import { isWarm } from "./sidecars-warm.ts";

describe("isWarm", () => {
  it.each([
    [{ services: [] }, false],
    [{ services: [{ places: [] }] }, false],
    [{ services: [{ places: [{ roundTripMs: 0 }, { roundTripMs: null }] }] }, false],
    [{ services: [{ places: [{ roundTripMs: 0 }] }, { places: [{ roundTripMs: 81.2 }] }] }, true],
  ])("of %j is %j", (stats, warm) => {
    expect(isWarm(stats)).toBe(warm);
  });
});
