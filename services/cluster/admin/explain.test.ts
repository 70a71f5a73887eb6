import { expect, it } from "vitest";
import { clusterState, endpoint, serviceImport } from "../cluster-state-fixture.ts";
import { clusterStatus } from "./cluster-status.ts";
import { explainService } from "./explain.ts";

const overloads = [
  { instance: "storefront-0", namespace: "web", service: "storefront", admits: 20, asked: 60 },
  { instance: "storefront-1", namespace: "web", service: "storefront", admits: 10, asked: 15 },
];

const heldAgeMs = (cluster: string): number | undefined => (cluster === "shop-us" ? 1_200 : undefined);

it("a plane tells how long it was not confirmed what it holds of a place from how long nothing changed there", () => {
  const silent = clusterState({ endpoints: [endpoint("storefront-0", "web", "storefront", { attached: false, isMissed: true })], imports: [serviceImport({ asOfMs: 5, endpointsReady: 1, endpointsUnknown: 2, endpointsTotal: 4 })] });
  const { places } = explainService({ state: silent, overloads: [], unreached: [], heldAgeMs }, { service: "web/storefront" }, 74_005);
  expect(places).toMatchObject([
    { cluster: "shop-eu", ageMs: 0, endpointsReady: 0, endpointsUnknown: 1, endpointsTotal: 1 },
    { cluster: "shop-us", ageMs: 1_200, changedAgeMs: 74_000, endpointsReady: 1, endpointsUnknown: 2, endpointsTotal: 4 },
  ]);
  const unconfirmed = explainService({ state: silent, overloads: [], unreached: [], heldAgeMs: () => undefined }, { service: "web/storefront" }, 74_005);
  expect(unconfirmed.places[1]).toMatchObject({ ageMs: 74_000, changedAgeMs: 74_000 });
});

it("a plane explains that its own instances of a service are overloaded", () => {
  const explained = explainService({ state: clusterState(), overloads, unreached: [], heldAgeMs }, { service: "web/storefront" }, 0);
  expect(explained.places).toMatchObject([{ cluster: "shop-eu", overload: { admits: 30, asked: 75 }, reason: expect.stringMatching(/^overloaded: admits 30 of 75 requests a second; own cluster/) as string }]);
  const calm = explainService({ state: clusterState(), overloads: [], unreached: [], heldAgeMs }, { service: "web/storefront" }, 0);
  expect(calm.places[0]).not.toHaveProperty("overload");
  expect(calm.places[0]?.reason).toMatch(/^own cluster/);
});

it("says of a place that instances here do not reach that it is so", () => {
  const unreached = [
    { instance: "a-0", cluster: "shop-us", forMs: 6_000 },
    { instance: "b-0", cluster: "shop-us", forMs: 9_000 },
    { instance: "b-0", cluster: "elsewhere", forMs: 9_000 },
  ];
  const { notes } = explainService({ state: clusterState({ imports: [serviceImport({})] }), overloads: [], unreached, heldAgeMs }, { service: "web/storefront" }, 0);
  expect(notes).toEqual(["shop-us is out of reach: 2 proxies in shop-eu have reached no gateway of it for 9 s.", expect.stringMatching(/^Seen by the control plane/)]);
});

it("a plane's status names them, whom instances do not reach, and what is asked of itself more often than it can do", () => {
  const facts = { generation: { epoch: 1, revision: 1 }, heardAgeMs: 0, heldAgeMs, refusesUs: false, behindSinceMs: undefined, withdrawalsHeld: 0, refused: [], federated: [], writeFailures: [], intermediateNotAfterMs: 1, closedRoles: [], signer: "own", proxies: [], silentProxies: [], policyTrials: [], overloads, unreached: [{ instance: "a-0", cluster: "shop-us", forMs: 6_000 }], unwritten: [{ instance: "b-0", reason: "ENOSPC" }], clocks: [{ instance: "b-0", aheadMs: 40_000 }], names: [], storeAwaySinceMs: undefined, unfollowed: [], store: { state: "sound", epoch: 1 }, apiOverloads: [{ requests: "writes", admits: 3, asked: 9 }] } as const;
  const status = clusterStatus(clusterState(), facts, 0);
  expect(status.overloads).toEqual(overloads);
  expect(status.unreached).toEqual([{ cluster: "shop-us", forMs: 6_000, instances: 1, named: ["a-0"] }]);
  expect(status.clocks).toEqual([{ instance: "b-0", aheadMs: 40_000 }]);
  expect(status.unwritten).toEqual([{ instance: "b-0", reason: "ENOSPC" }]);
  expect(status.apiOverloads).toEqual([{ requests: "writes", admits: 3, asked: 9 }]);
  expect(clusterStatus(clusterState(), { ...facts, apiOverloads: [] }, 0)).not.toHaveProperty("apiOverloads");
});
