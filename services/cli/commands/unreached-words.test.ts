import { expect, it } from "vitest";
import { clusterStatusSchema } from "#federation/admin-api/status.ts";
import { olderStatus } from "./cluster-status-fixture.ts";
import { clusterProblems } from "./status.ts";

it("names a proxy whose disk takes nothing, and what that means", () => {
  const unwritten = [{ instance: "catalog-1", reason: "ENOSPC: no space left on device" }];
  expect(clusterProblems("shop-eu", clusterStatusSchema.parse({ ...olderStatus, unwritten }))).toEqual([
    "proxy catalog-1 in shop-eu cannot write to its disk (ENOSPC: no space left on device): it goes on, and started again it would begin with what it wrote last, perhaps an older identity and older routes; give its disk room",
  ]);
});

it("names a cluster that proxies do not reach, how many and since when, and what to look at", () => {
  const problems = (unreached: unknown): readonly string[] => clusterProblems("shop-eu", clusterStatusSchema.parse({ ...olderStatus, unreached }));
  expect(problems([{ cluster: "shop-us", forMs: 42_000, instances: 5, named: ["a", "b", "c"] }])).toEqual([
    "5 proxies in shop-eu (a, b, c and 2 more) have reached no gateway of shop-us for 42 s, and what they ask of it goes elsewhere or fails: see whether its gateways run, and whether the network lets their port through",
  ]);
  expect(problems([{ cluster: "shop-us", forMs: 6_000, instances: 1, named: ["a"] }])[0]).toMatch(/^1 proxy in shop-eu \(a\) has reached no gateway of shop-us for 6 s/);
  expect(problems(undefined)).toEqual([]);
});
