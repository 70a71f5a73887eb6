import { describe, expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { createRoundTrip, echoBoundMs, recordEcho, recordSilence } from "./round-trip.ts";

describe("the bound on an echo", () => {
  test.each([0.1, 1, 80, 280])("is 3 × RTT + 250 ms on a calm path of %d ms", (roundTripMs) => {
    const path = createRoundTrip();
    for (let at = 0; at < 100; at++) recordEcho(path, roundTripMs, at * 100);
    expect(echoBoundMs(path, 10_000)).toBeCloseTo(3 * roundTripMs + 250, 6);
  });

  test("has a default before anything was measured", () => {
    expect(echoBoundMs(createRoundTrip(), 0)).toBe(1_150);
  });

  test("follows the variation, holds it for a while, and comes back", () => {
    const path = createRoundTrip();
    for (let at = 0; at < 100; at++) recordEcho(path, 10, at * 100);
    recordEcho(path, 900, 10_000);
    for (let at = 1; at <= 20; at++) recordEcho(path, 10, 10_000 + at * 100);
    expect(echoBoundMs(path, 12_000)).toBeGreaterThan(600);
    for (let at = 1; at <= 600; at++) recordEcho(path, 10, 12_000 + at * 100);
    expect(echoBoundMs(path, 72_000)).toBeCloseTo(280, 0);
  });

  test("doubles with each silence, up to its maximum", () => {
    const path = createRoundTrip();
    recordEcho(path, 10, 0);
    const bounds: number[] = [];
    for (let at = 0; at < 8; at++) {
      bounds.push(Math.round(echoBoundMs(path, 1_000)));
      recordSilence(path, 1_000);
    }
    expect(bounds).toEqual([280, 560, 1_120, 2_240, 4_480, 5_000, 5_000, 5_000]);
    expect(echoBoundMs(path, 120_000)).toBeCloseTo(280, 0);
  });

  test("is missed by few echoes of a path on which spikes of ten times the round trip come again and again", () => {
    const random = createSeededRandom(11);
    const path = createRoundTrip();
    let missed = 0;
    for (let at = 0; at < 6_000; at++) {
      const sampleMs = random.next() < 0.1 ? 100 + random.next() * 500 : 10 + random.next() * 5;
      if (sampleMs > echoBoundMs(path, at * 100)) missed++;
      recordEcho(path, sampleMs, at * 100);
    }
    // With a bound of 3 × RTT + 250 ms alone it is one in three of the spikes.
    expect(missed).toBeLessThanOrEqual(12);
  });
});
