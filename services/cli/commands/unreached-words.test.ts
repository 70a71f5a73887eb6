import { expect, it } from "vitest";
import { clusterStatusSchema } from "#federation/admin-api/status.ts";
import { clusterProblems } from "./status.ts";

/** As an older plane answers: it says nothing of whom its instances reach. */
const older = {
  cluster: "shop-eu",
  region: "eu-west",
  trustDomain: "shop.example",
  federation: "demo.atoll",
  asOfMs: 1,
  generation: { epoch: 1, revision: 1 },
  globalPlane: { connected: true, heardAgeMs: 0 },
  identity: { intermediateNotAfterMs: 1, signer: "own" },
  endpoints: { ready: 2, notReady: 0, unknown: 0 },
  services: [],
  proxies: [],
};

it("names a proxy whose disk takes nothing, and what that means", () => {
  const unwritten = [{ instance: "catalog-1", reason: "ENOSPC: no space left on device" }];
  expect(clusterProblems("shop-eu", clusterStatusSchema.parse({ ...older, unwritten }))).toEqual([
    "the proxy of catalog-1 in shop-eu cannot write what it knows to its disk (ENOSPC: no space left on device): it goes on, and started again it would begin with an older identity and older routes; give its disk room",
  ]);
});

it("names a cluster that instances do not reach, how many and since when, and what to look at", () => {
  const problems = (unreached: unknown): readonly string[] => clusterProblems("shop-eu", clusterStatusSchema.parse({ ...older, unreached }));
  expect(problems([{ cluster: "shop-us", forMs: 42_000, instances: 5, named: ["a", "b", "c"] }])).toEqual([
    "5 instances in shop-eu (a, b, c and 2 more) have reached no gateway of shop-us for 42 s, and what they ask of it goes elsewhere or fails: see whether its gateways run, and whether the network lets their port through",
  ]);
  expect(problems([{ cluster: "shop-us", forMs: 6_000, instances: 1, named: ["a"] }])[0]).toMatch(/^1 instance in shop-eu \(a\) has reached no gateway of shop-us for 6 s/);
  expect(problems(undefined)).toEqual([]);
});
