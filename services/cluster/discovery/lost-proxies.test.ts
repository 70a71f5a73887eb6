import { expect, it } from "vitest";
import { LostProxies, lostProxiesMax, proxyReturnMs } from "./lost-proxies.ts";

it("remembers who was lost for as long as it may come back, and forgets who has", () => {
  const lost = new LostProxies(proxyReturnMs);
  lost.lose("a", { name: "sidecar-a", takenVersion: 1 }, 1_000);
  lost.lose("b", { name: "sidecar-b", takenVersion: 1 }, 2_000);
  expect(lost.at(3_000)).toEqual([{ name: "sidecar-a", takenVersion: 1, ageMs: 2_000 }, { name: "sidecar-b", takenVersion: 1, ageMs: 1_000 }]);
  lost.find("b");
  expect(lost.at(3_000)).toHaveLength(1);
  expect(lost.at(1_000 + proxyReturnMs - 1)).toHaveLength(1);
  expect(lost.at(1_000 + proxyReturnMs)).toEqual([]);
});

it("counts from the last loss, and keeps no more than it may", () => {
  const lost = new LostProxies(proxyReturnMs);
  lost.lose("a", { name: "sidecar-a", takenVersion: 1 }, 0);
  lost.lose("b", { name: "sidecar-b", takenVersion: 1 }, 5_000);
  lost.lose("a", { name: "sidecar-a", takenVersion: 1 }, 10_000);
  expect(lost.at(proxyReturnMs + 4_999)).toMatchObject([{ name: "sidecar-b" }, { name: "sidecar-a" }]);
  expect(lost.at(proxyReturnMs + 5_000)).toEqual([{ name: "sidecar-a", takenVersion: 1, ageMs: proxyReturnMs - 5_000 }]);
  for (let index = 0; index < lostProxiesMax; index++) lost.lose(`k${index}`, { name: `k${index}`, takenVersion: 1 }, 10_000);
  expect(lost.at(10_000)).toHaveLength(lostProxiesMax);
});
