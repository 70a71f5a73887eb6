import { expect, it } from "vitest";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import { clusterState, endpoint, serviceImport } from "../cluster-state-fixture.ts";
import { explainService } from "./explain.ts";
import { simulateService } from "./simulate.ts";

const us = "us-east" as RegionId;
const own = "eu-west" as RegionId;
const state = clusterState({
  endpoints: [endpoint("storefront-0", "web", "storefront"), endpoint("storefront-1", "web", "storefront")],
  imports: [serviceImport({ endpointsReady: 6, endpointsTotal: 8 })],
});
const known = { state, overloads: [] };
const simulate = (loss: { readonly regions?: readonly RegionId[]; readonly clusters?: readonly ClusterId[] }, from: { readonly region?: RegionId } = {}) =>
  simulateService(known, { service: "web/storefront", ...from, loss: { regions: [], clusters: [], ...loss } }, 1_000);

it("tells where requests would go, and how much of what is ready would be left", () => {
  expect(simulate({ regions: [us] })).toMatchObject({ served: true, callerLost: false, chosen: "shop-eu", capacityLeft: 0.25, fromCluster: "shop-eu" });
  expect(simulate({ clusters: ["shop-us" as ClusterId] }).places).toMatchObject([
    { cluster: "shop-eu", lost: false, endpointsReady: 2, endpointsTotal: 2, loadShareAfter: 1 },
    { cluster: "shop-us", region: us, lost: true, endpointsReady: 6, endpointsTotal: 8, loadShareAfter: 0 },
  ]);
});

it("agrees with explain while nothing is lost", () => {
  const explained = explainService({ ...known, unreached: [], heldAgeMs: () => undefined }, { service: "web/storefront" }, 1_000);
  const simulated = simulate({});
  expect(simulated).toMatchObject({ served: true, chosen: explained.chosen, capacityLeft: 1 });
  expect(simulated.places.map(({ cluster, loadShareBefore, loadShareAfter }) => [cluster, loadShareBefore, loadShareAfter])).toEqual(explained.places.map(({ cluster, loadShare }) => [cluster, loadShare, loadShare]));
});

it("says when nobody would be left, be it that the callers themselves are lost", () => {
  expect(simulate({ regions: [us, own] })).toMatchObject({ served: false, callerLost: true, capacityLeft: 0 });
  expect(simulate({ regions: [own] })).toMatchObject({ served: false, callerLost: true, capacityLeft: 0.75 });
  const empty = simulateService({ state: clusterState({ endpoints: [] }), overloads: [] }, { service: "web/storefront", loss: { regions: [], clusters: [] } }, 0);
  expect(empty).toMatchObject({ served: false, callerLost: false, capacityLeft: 0 });
  expect(empty).not.toHaveProperty("chosen");
});

it("counts what is unknown as usable, as routing does", () => {
  const silent = clusterState({ endpoints: [endpoint("storefront-0", "web", "storefront", { attached: false }), endpoint("storefront-1", "web", "storefront", { ready: false })], imports: [serviceImport({ endpointsReady: 1, endpointsTotal: 2 })] });
  const simulated = simulateService({ state: silent, overloads: [] }, { service: "web/storefront", loss: { regions: [us], clusters: [] } }, 0);
  expect(simulated).toMatchObject({ served: true, capacityLeft: 0.5, places: [{ endpointsReady: 0, endpointsTotal: 2 }, { endpointsReady: 1, endpointsTotal: 2 }] });
});

it("knows no service that is not visible here", () => {
  expect(() => simulateService(known, { service: "web/absent", loss: { regions: [], clusters: [] } }, 0)).toThrow(expect.objectContaining({ code: "ATOLL_NOT_FOUND" }));
});
