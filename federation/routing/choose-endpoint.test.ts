import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { chooseEndpoint } from "./choose-endpoint.ts";
import type { EndpointLoads } from "./choose-endpoint.ts";

function loadsOf(inFlight: readonly number[], usable: readonly number[] = inFlight.map((_, index) => index)): EndpointLoads {
  return {
    inFlight: Int32Array.from(inFlight),
    weights: new Float64Array(inFlight.length).fill(1),
    usable: Int32Array.from(usable),
    usableCount: usable.length,
  };
}

test("takes only usable endpoints, and the avoided one only when it is alone", () => {
  const setup = fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }).chain((inFlight) =>
    fc.record({ inFlight: fc.constant(inFlight), usable: fc.shuffledSubarray(inFlight.map((_, index) => index), { minLength: 1 }) }),
  );
  fc.assert(
    fc.property(setup, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(9), ({ inFlight, usable }, uniform, avoid) => {
      const chosen = chooseEndpoint(loadsOf(inFlight, usable), uniform, avoid);
      expect(usable).toContain(chosen);
      if (usable.length > 1) expect(chosen).not.toBe(avoid);
    }),
  );
});

test("never takes the busiest of several", () => {
  const random = createSeededRandom(7);
  const loads = loadsOf([3, 9, 1, 4]);
  for (let draw = 0; draw < 1000; draw++) expect(chooseEndpoint(loads, random.next(), -1)).not.toBe(1);
});

test("weighs requests in flight by capacity", () => {
  const loads = loadsOf([4, 2]);
  loads.weights.set([4, 1]);
  expect(chooseEndpoint(loads, 0.2, -1)).toBe(0);
  expect(chooseEndpoint(loads, 0.8, -1)).toBe(0);
});

test("spreads evenly over idle endpoints", () => {
  const random = createSeededRandom(11);
  const counts = [0, 0, 0, 0, 0];
  const loads = loadsOf(counts);
  for (let draw = 0; draw < 50_000; draw++) {
    const chosen = chooseEndpoint(loads, random.next(), -1);
    counts[chosen] = (counts[chosen] ?? 0) + 1;
  }
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test("has nothing to choose among none", () => {
  expect(chooseEndpoint(loadsOf([]), 0.5, -1)).toBe(-1);
});
