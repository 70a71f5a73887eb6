import { expect, test } from "vitest";
import type { RegionId } from "#federation/model/names.ts";
import { orderPlaces } from "./order-places.ts";
import type { PlaceOrder } from "./order-places.ts";
import { localPlace, remotePlace, viewpointOf } from "./places-fixture.ts";

const eu = "eu-west" as RegionId;
const us = "us-east" as RegionId;
const ap = "ap-south" as RegionId;
const places = [remotePlace("shop-ap", ap), remotePlace("shop-us", us), remotePlace("shop-eu-2", eu), localPlace("shop-eu", eu)];
const fromEu = viewpointOf("shop-eu", eu, { "shop-us": 80, "shop-ap": 180, "shop-eu-2": 1 });

function levelsOf(order: PlaceOrder): string[] {
  return Array.from({ length: order.levels }, (_, level) =>
    order.places
      .filter((ranked) => ranked.level === level)
      .map((ranked) => ranked.place.cluster)
      .join("+"),
  );
}

test("nearest takes the own cluster, then its region, then regions by round trip", () => {
  expect(levelsOf(orderPlaces(places, { mode: "nearest" }, fromEu))).toEqual(["shop-eu", "shop-eu-2", "shop-us", "shop-ap"]);
});

test("nearest puts an unmeasured region after the measured ones, and equal ones by name", () => {
  expect(levelsOf(orderPlaces(places, { mode: "nearest" }, viewpointOf("shop-eu", eu, { "shop-us": 300 })))).toEqual(["shop-eu", "shop-eu-2", "shop-us", "shop-ap"]);
  expect(levelsOf(orderPlaces(places, { mode: "nearest" }, viewpointOf("shop-eu", eu)))).toEqual(["shop-eu", "shop-eu-2", "shop-ap", "shop-us"]);
});

test("a caller without a place of its own starts with its region's other clusters", () => {
  const fromEu3 = viewpointOf("shop-eu-3", eu, { "shop-us": 80, "shop-eu": 2, "shop-eu-2": 1 });
  const remote = [remotePlace("shop-us", us), remotePlace("shop-eu", eu), remotePlace("shop-eu-2", eu)];
  expect(levelsOf(orderPlaces(remote, { mode: "nearest" }, fromEu3))).toEqual(["shop-eu-2+shop-eu", "shop-us"]);
});

test("clusters of one remote region are one level", () => {
  const order = orderPlaces([remotePlace("us-b", us), remotePlace("us-a", us), localPlace("shop-eu", eu)], { mode: "nearest" }, viewpointOf("shop-eu", eu, { "us-a": 80, "us-b": 81 }));
  expect(levelsOf(order)).toEqual(["shop-eu", "us-a+us-b"]);
});

test("ordered keeps the own region first unless the list places it, and unnamed regions last", () => {
  expect(levelsOf(orderPlaces(places, { mode: "ordered", order: [ap] }, fromEu))).toEqual(["shop-eu", "shop-eu-2", "shop-ap", "shop-us"]);
  expect(levelsOf(orderPlaces(places, { mode: "ordered", order: [ap, eu] }, fromEu))).toEqual(["shop-ap", "shop-eu", "shop-eu-2", "shop-us"]);
});

test("weights make one level of the weighted regions and keep the others for failover", () => {
  const policy = { mode: "weights", weights: [{ region: us, weight: 3 }, { region: eu, weight: 1 }, { region: ap, weight: 0 }] } as const;
  const order = orderPlaces(places, policy, fromEu);
  expect(levelsOf(order)).toEqual(["shop-eu+shop-eu-2+shop-us", "shop-ap"]);
  expect(order.places.map((ranked) => ranked.regionWeight)).toEqual([1, 1, 3, 1]);
});

test("an endpoint of unknown readiness counts as usable, an unready one does not", () => {
  const local = localPlace("shop-eu", eu, 1, 3);
  const endpoints = local.endpoints.map((endpoint, index) => (index === 2 ? { ...endpoint, readiness: "unknown" as const } : endpoint));
  const [ranked] = orderPlaces([{ ...local, endpoints }], { mode: "nearest" }, fromEu).places;
  expect(ranked).toMatchObject({ capacity: 3, readyRatio: 2 / 3, own: true, roundTripMs: 0 });
});

test("instances of another cluster that are not heard carry as much as before: unknown is not down", () => {
  const order = orderPlaces([{ ...remotePlace("shop-us", us, 1, 3), endpointsUnknown: 1 }], { mode: "nearest" }, fromEu);
  expect(order.places.map((ranked) => [ranked.capacity, ranked.readyRatio])).toEqual([[3, 2 / 3]]);
});

test("a place without any endpoint has no capacity and is no division by zero", () => {
  const order = orderPlaces([remotePlace("shop-us", us, 0), localPlace("shop-eu", eu, 0)], { mode: "nearest" }, fromEu);
  expect(order.places.map((ranked) => [ranked.capacity, ranked.readyRatio])).toEqual([[0, 0], [0, 0]]);
});
