import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RegionId } from "#federation/model/names.ts";
import type { Place } from "#federation/model/snapshot.ts";
import type { LocalityPolicy } from "#federation/model/traffic-policy.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import { choosePlace, TriedPlaces } from "./choose-place.ts";
import { orderPlaces } from "./order-places.ts";
import { downCondition, healthyCondition, localPlace, remotePlace, viewpointOf } from "./places-fixture.ts";
import { shareLoad } from "./share-load.ts";

const viewpoint = viewpointOf("shop-eu", "eu-west", { "shop-eu-2": 1, "shop-us": 80, "shop-ap": 180 });

/** Shares by cluster, in percent. */
function sharesOf(places: readonly Place[], policy: LocalityPolicy, conditions: Readonly<Record<string, PlaceCondition>> = {}): Record<string, number> {
  const order = orderPlaces(places, policy, viewpoint);
  const load = shareLoad(order, order.places.map((ranked) => conditions[ranked.place.cluster] ?? healthyCondition));
  return Object.fromEntries(order.places.map((ranked, index) => [ranked.place.cluster, Math.round((load.shares[index] ?? 0) * 1000) / 10]));
}

const three = [localPlace("shop-eu", "eu-west", 4), remotePlace("shop-us", "us-east", 4), remotePlace("shop-ap", "ap-south", 4)];
const nearest = { mode: "nearest" } as const;

describe("shareLoad", () => {
  test("keeps everything at home while home is healthy", () => {
    expect(sharesOf(three, nearest)).toEqual({ "shop-eu": 100, "shop-us": 0, "shop-ap": 0 });
  });

  test("lends a few requests of a slow place to the nearest other that nothing is said against", () => {
    const slow: PlaceCondition = { ...healthyCondition, verdict: "suspect", probeRatio: 0.1 };
    expect(sharesOf(three, nearest, { "shop-eu": slow })).toEqual({ "shop-eu": 90, "shop-us": 10, "shop-ap": 0 });
    expect(sharesOf(three, nearest, { "shop-eu": slow, "shop-us": slow })).toEqual({ "shop-eu": 90, "shop-us": 0, "shop-ap": 10 });
    expect(sharesOf(three, nearest, { "shop-eu": slow, "shop-us": downCondition, "shop-ap": downCondition })).toEqual({ "shop-eu": 100, "shop-us": 0, "shop-ap": 0 });
    expect(sharesOf(three.slice(0, 1), nearest, { "shop-eu": slow })).toEqual({ "shop-eu": 100 });
  });

  test("spills to the next nearest what a half-ready home cannot carry", () => {
    expect(sharesOf([localPlace("shop-eu", "eu-west", 2, 4), ...three.slice(1)], nearest)).toEqual({ "shop-eu": 70, "shop-us": 30, "shop-ap": 0 });
  });

  test("gives a lowered place nothing, however ready it is said to be", () => {
    expect(sharesOf(three, nearest, { "shop-eu": downCondition })).toEqual({ "shop-eu": 0, "shop-us": 100, "shop-ap": 0 });
  });

  test("brings a returning place back step by step", () => {
    const ramping = { ...healthyCondition, rampRatio: 0.25 };
    expect(sharesOf(three, nearest, { "shop-eu": ramping })).toEqual({ "shop-eu": 35, "shop-us": 65, "shop-ap": 0 });
  });

  test("ignores readiness in panic, but not the data path", () => {
    const tired = [localPlace("shop-eu", "eu-west", 1, 10), remotePlace("shop-us", "us-east", 1, 10), remotePlace("shop-ap", "ap-south", 0, 10)];
    expect(sharesOf(tired, nearest)).toEqual({ "shop-eu": 50, "shop-us": 50, "shop-ap": 0 });
    expect(sharesOf(tired, nearest, { "shop-eu": downCondition })).toEqual({ "shop-eu": 0, "shop-us": 100, "shop-ap": 0 });
  });

  test("spreads by capacity when nothing is ready anywhere", () => {
    const unready = [localPlace("shop-eu", "eu-west", 0, 3), remotePlace("shop-us", "us-east", 0, 1), remotePlace("shop-ap", "ap-south", 0, 0)];
    expect(sharesOf(unready, nearest)).toEqual({ "shop-eu": 75, "shop-us": 25, "shop-ap": 0 });
  });

  const weights = (...pairs: readonly (readonly [string, number])[]): LocalityPolicy => ({
    mode: "weights",
    weights: pairs.map(([region, weight]) => ({ region: region as RegionId, weight })),
  });

  test("splits by weight, whatever the capacities", () => {
    const places = [localPlace("shop-eu", "eu-west", 1), remotePlace("shop-us", "us-east", 9), remotePlace("shop-ap", "ap-south", 4)];
    expect(sharesOf(places, weights(["eu-west", 3], ["us-east", 1]))).toEqual({ "shop-eu": 75, "shop-us": 25, "shop-ap": 0 });
    expect(sharesOf(places, weights(["eu-west", 1], ["us-east", 1]))).toEqual({ "shop-eu": 50, "shop-us": 50, "shop-ap": 0 });
  });

  test("gives the share of a weighted region that is down to the other weighted ones in proportion", () => {
    const policy = weights(["eu-west", 60], ["us-east", 30], ["ap-south", 10]);
    expect(sharesOf(three, policy, { "shop-eu": downCondition })).toEqual({ "shop-eu": 0, "shop-us": 75, "shop-ap": 25 });
  });

  test("fails over to unweighted regions when every weighted one is down", () => {
    expect(sharesOf(three, weights(["eu-west", 1], ["us-east", 1]), { "shop-eu": downCondition, "shop-us": downCondition })).toEqual({
      "shop-eu": 0,
      "shop-us": 0,
      "shop-ap": 100,
    });
  });

  test("prefers the own cluster inside a weighted region, and fills up from the region's other clusters", () => {
    const places = (ready: number): Place[] => [localPlace("shop-eu", "eu-west", ready, 10), remotePlace("shop-eu-2", "eu-west", 10), remotePlace("shop-us", "us-east", 10)];
    const policy = weights(["eu-west", 1], ["us-east", 1]);
    expect(sharesOf(places(10), policy)).toEqual({ "shop-eu": 50, "shop-eu-2": 0, "shop-us": 50 });
    expect(sharesOf(places(5), policy)).toEqual({ "shop-eu": 35, "shop-eu-2": 15, "shop-us": 50 });
    expect(sharesOf(places(0), policy)).toEqual({ "shop-eu": 0, "shop-eu-2": 41.2, "shop-us": 58.8 });
  });
});

test("the smallest weight there is is a weight", () => {
  const policy: LocalityPolicy = { mode: "weights", weights: [{ region: "eu-west" as RegionId, weight: Number.MIN_VALUE }] };
  const order = orderPlaces([localPlace("c0", "eu-west", 5, 10), remotePlace("c1", "us-east", 10)], policy, viewpointOf("c0", "eu-west", { c1: 10 }));
  const { shares } = shareLoad(order, [{ ...healthyCondition, rampRatio: 0.3 }, healthyCondition]);
  expect(shares[0]).toBeGreaterThan(0);
  expect((shares[0] ?? 0) + (shares[1] ?? 0)).toBeCloseTo(1, 9);
});

const regions = ["eu-west", "us-east", "ap-south"];
const world = fc
  .array(
    fc.record({
      region: fc.constantFrom(...regions),
      total: fc.integer({ min: 0, max: 20 }),
      readyShare: fc.double({ min: 0, max: 1, noNaN: true }),
      condition: fc.oneof(
        fc.constant(healthyCondition),
        fc.constant(downCondition),
        fc.double({ min: 0.1, max: 1, noNaN: true }).map((rampRatio) => ({ ...healthyCondition, rampRatio })),
      ),
    }),
    { minLength: 1, maxLength: 7 },
  )
  .chain((entries) =>
    fc.record({
      entries: fc.constant(entries),
      policy: fc.oneof(
        fc.constant<LocalityPolicy>({ mode: "nearest" }),
        fc.shuffledSubarray(regions).map((order): LocalityPolicy => ({ mode: "ordered", order: order as RegionId[] })),
        fc
          .array(fc.record({ region: fc.constantFrom(...regions), weight: fc.double({ min: Number.MIN_VALUE, max: 10, noNaN: true }) }), { maxLength: 3 })
          .map((list): LocalityPolicy => ({ mode: "weights", weights: list as { region: RegionId; weight: number }[] })),
      ),
    }),
  )
  .map(({ entries, policy }) => {
    const places = entries.map((entry, index) => {
      const ready = Math.floor(entry.total * entry.readyShare);
      return index === 0 ? localPlace("c0", entry.region, ready, entry.total) : remotePlace(`c${index}`, entry.region, ready, entry.total);
    });
    const order = orderPlaces(places, policy, viewpointOf("c0", entries[0]?.region ?? "eu-west", { c1: 10, c2: 20 }));
    const conditions = order.places.map((ranked) => entries[Number(ranked.place.cluster.slice(1))]?.condition ?? healthyCondition);
    return { order, conditions, load: shareLoad(order, conditions) };
  });

const uniform = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("any world", () => {
  test("shares sum to 1, or are all 0 when only lowered or empty places are left", () => {
    fc.assert(
      fc.property(world, ({ order, conditions, load }) => {
        const total = load.shares.reduce((left, right) => left + right, 0);
        const reachable = order.places.some((ranked, index) => ranked.capacity > 0 && conditions[index]?.lowered !== true);
        expect(total).toBeCloseTo(reachable ? 1 : 0, 9);
        for (const [index, share] of load.shares.entries()) {
          expect(share).toBeGreaterThanOrEqual(0);
          if (conditions[index]?.lowered === true) expect(share).toBe(0);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("the last resort names every place once, lowered ones after all others", () => {
    fc.assert(
      fc.property(world, ({ order, conditions, load }) => {
        expect([...load.lastResort].sort((left, right) => left - right)).toEqual([...order.places.keys()]);
        const lowered = [...load.lastResort].map((index) => conditions[index]?.lowered === true);
        expect(lowered).toEqual(lowered.toSorted((left, right) => Number(left) - Number(right)));
      }),
    );
  });

  test("a place is always chosen, and never a tried one while an untried exists", () => {
    fc.assert(
      fc.property(world, fc.array(uniform, { minLength: 7, maxLength: 7 }), ({ order, load }, draws) => {
        const tried = new TriedPlaces();
        for (const draw of draws) {
          const index = choosePlace(load, draw, tried);
          expect(order.places[index]).toBeDefined();
          if (tried.count < order.places.length) expect(tried.has(index)).toBe(false);
          tried.add(index);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a first choice falls on a place without share only when none has one", () => {
    fc.assert(
      fc.property(world, uniform, ({ load }, draw) => {
        const index = choosePlace(load, draw, new TriedPlaces());
        if (load.shares.some((share) => share > 0)) expect(load.shares[index]).toBeGreaterThan(0);
      }),
    );
  });
});

describe("choosePlace", () => {
  test("follows the shares", () => {
    const order = orderPlaces([localPlace("shop-eu", "eu-west", 2, 4), remotePlace("shop-us", "us-east", 4)], nearest, viewpoint);
    const load = shareLoad(order, [healthyCondition, healthyCondition]);
    const none = new TriedPlaces();
    expect([0, 0.5, 0.699, 0.701, 0.999].map((draw) => choosePlace(load, draw, none))).toEqual([0, 0, 0, 1, 1]);
  });

  test("says -1 only when there is no place at all", () => {
    const load = shareLoad(orderPlaces([], nearest, viewpoint), []);
    expect(choosePlace(load, 0.3, new TriedPlaces())).toBe(-1);
  });

  test("comes back to a lowered place rather than to none", () => {
    const order = orderPlaces(three, nearest, viewpoint);
    const load = shareLoad(order, [downCondition, downCondition, downCondition]);
    expect(choosePlace(load, 0.9, new TriedPlaces())).toBe(0);
  });
});
