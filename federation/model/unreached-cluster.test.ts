import { expect, it } from "vitest";
import { unreachedByCluster } from "./unreached-cluster.ts";

it("adds up by cluster who does not reach it, and names those of the longest time", () => {
  const said = [
    { instance: "a", cluster: "shop-us", forMs: 6_000 },
    { instance: "b", cluster: "shop-us", forMs: 9_000 },
    { instance: "c", cluster: "shop-us", forMs: 7_000 },
    { instance: "d", cluster: "shop-us", forMs: 8_000 },
    { instance: "a", cluster: "shop-ap", forMs: 5_000 },
  ];
  expect(unreachedByCluster(said)).toEqual([
    { cluster: "shop-ap", forMs: 5_000, instances: 1, named: ["a"] },
    { cluster: "shop-us", forMs: 9_000, instances: 4, named: ["b", "d", "c"] },
  ]);
  expect(unreachedByCluster([])).toEqual([]);
});
