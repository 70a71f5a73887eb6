import { expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import { LostProxies, lostProxiesMax, type LostProxy } from "./lost-proxies.ts";

const proxy = (name: string): Omit<LostProxy, "ageMs"> => ({ name, identity: "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId, kind: "workload", takenVersion: 1 });

it("remembers who was lost for as long as it may come back, and forgets who has", () => {
  const lost = new LostProxies(proxyReturnMs);
  lost.lose("a", proxy("sidecar-a"), 1_000);
  lost.lose("b", proxy("sidecar-b"), 2_000);
  expect(lost.at(3_000)).toEqual([{ ...proxy("sidecar-a"), ageMs: 2_000 }, { ...proxy("sidecar-b"), ageMs: 1_000 }]);
  lost.find("b");
  expect(lost.at(3_000)).toHaveLength(1);
  expect(lost.at(1_000 + proxyReturnMs - 1)).toHaveLength(1);
  expect(lost.at(1_000 + proxyReturnMs)).toEqual([]);
});

it("counts from the last loss, and keeps no more than it may", () => {
  const lost = new LostProxies(proxyReturnMs);
  lost.lose("a", proxy("sidecar-a"), 0);
  lost.lose("b", proxy("sidecar-b"), 5_000);
  lost.lose("a", proxy("sidecar-a"), 10_000);
  expect(lost.at(proxyReturnMs + 4_999)).toMatchObject([{ name: "sidecar-b" }, { name: "sidecar-a" }]);
  expect(lost.at(proxyReturnMs + 5_000)).toEqual([{ ...proxy("sidecar-a"), ageMs: proxyReturnMs - 5_000 }]);
  for (let index = 0; index < lostProxiesMax; index++) lost.lose(`k${index}`, proxy(`k${index}`), 10_000);
  expect(lost.at(10_000)).toHaveLength(lostProxiesMax);
});
