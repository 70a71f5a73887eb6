import { expect, it } from "vitest";
import { clusterState } from "../cluster-state-fixture.ts";
import { clusterStatus } from "./cluster-status.ts";
import { explainService } from "./explain.ts";

const overloads = [
  { instance: "storefront-0", namespace: "web", service: "storefront", admits: 20, asked: 60 },
  { instance: "storefront-1", namespace: "web", service: "storefront", admits: 10, asked: 15 },
];

it("a plane explains that its own instances of a service are overloaded", () => {
  const explained = explainService({ state: clusterState(), overloads }, { service: "web/storefront" }, 0);
  expect(explained.places).toMatchObject([{ cluster: "shop-eu", overload: { admits: 30, asked: 75 }, reason: expect.stringMatching(/^overloaded: admits 30 of 75 requests a second; own cluster/) as string }]);
  const calm = explainService({ state: clusterState(), overloads: [] }, { service: "web/storefront" }, 0);
  expect(calm.places[0]).not.toHaveProperty("overload");
  expect(calm.places[0]?.reason).toMatch(/^own cluster/);
});

it("a plane's status names them", () => {
  const facts = { generation: { epoch: 1, revision: 1 }, heardAgeMs: 0, refusesUs: false, behindSinceMs: undefined, withdrawalsHeld: 0, refused: [], intermediateNotAfterMs: 1, signer: "own", proxies: [], overloads, names: [], storeAwaySinceMs: undefined, store: { state: "sound", epoch: 1 } } as const;
  expect(clusterStatus(clusterState(), facts, 0).overloads).toEqual(overloads);
});
