import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { unfollowedMsMin } from "#federation/store/followed-prefixes.ts";
import { eventually } from "./eventually.ts";
import type { InProcessPlanes } from "./in-process-planes.ts";
import { ShopPlanes } from "./shop-planes-fixture.ts";
import { applyAll, exported } from "./shop-resources.ts";

const { signal } = new AbortController();
const withinMs = 6 * unfollowedMsMin;

describe("planes whose stores answer and are not heard, in one process", () => {
  let shopPlanes: ShopPlanes;
  let planes: InProcessPlanes;

  const unfollowedSeconds = async (name: "global" | "shop-eu"): Promise<number> => Number(/^atoll_store_unfollowed_seconds\{[^}]*\} (\S+)$/m.exec(await shopPlanes.metrics(name))?.[1]);

  beforeAll(async () => {
    shopPlanes = await ShopPlanes.open();
    ({ planes } = shopPlanes);
  }, 90_000);

  afterAll(async () => await shopPlanes[Symbol.asyncDispose](), 30_000);

  it("say what of them may be old and since when, take writes, and say it no more when they have read it", async () => {
    expect([await unfollowedSeconds("global"), await unfollowedSeconds("shop-eu")]).toEqual([0, 0]);
    await Promise.all([planes.setHeard("global", false), planes.setHeard("shop-eu", false)]);
    await eventually("both name it as a metric", async () => (await unfollowedSeconds("global")) >= unfollowedMsMin / 1_000 && (await unfollowedSeconds("shop-eu")) >= unfollowedMsMin / 1_000, withinMs);

    const { body: ofGlobal, staleSince } = await planes.at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal));
    const { body: ofCluster } = await planes.at("shop-eu", (admin) => admin.call(clusterRoutes.status, {}, signal));
    expect(ofGlobal.unfollowed?.map(({ collection }) => collection)).toEqual(expect.arrayContaining(["resources/Cluster", "objects"]));
    expect(ofCluster.unfollowed?.map(({ collection }) => collection)).toEqual(expect.arrayContaining(["resources/Service", "endpoints"]));
    for (const { unfollowed = [], storeAwaySinceMs } of [ofGlobal, ofCluster]) {
      expect(storeAwaySinceMs).toBeUndefined();
      for (const { ageMs, reason } of unfollowed) expect([ageMs >= unfollowedMsMin, reason]).toEqual([true, "told to refuse it"]);
    }
    // What is shown is as of then, and says so.
    expect(Date.parse(staleSince ?? "")).toBeLessThanOrEqual(ofGlobal.asOfMs - unfollowedMsMin);

    const found = await shopPlanes.check();
    expect(found).toMatch(/wrong {2}the global plane has not been able to read \S+, \S+, \S+ and \d+ more in its store for \d+ s, though the store answers \(told to refuse it\)/);
    expect(found).toMatch(/wrong {2}the plane of shop-eu has not been able to read /);
    expect(found).toMatch(/stale {2}the store of shop-eu has not answered since \S+, or has not told its plane what was written there/);

    // A write is taken, and is shown when it is heard of.
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("cart")));
    expect(await shopPlanes.services()).toEqual(["catalog"]);
    await Promise.all([planes.setHeard("global", true), planes.setHeard("shop-eu", true)]);
    await eventually("it is shown", async () => (await shopPlanes.services()).length === 2);
    expect([await unfollowedSeconds("global"), await unfollowedSeconds("shop-eu")]).toEqual([0, 0]);
    const { body: after, staleSince: staleAfter } = await planes.at("shop-eu", (admin) => admin.call(clusterRoutes.status, {}, signal));
    expect([after.unfollowed, staleAfter]).toEqual([undefined, undefined]);
    await eventually("check finds nothing of it", async () => !(await shopPlanes.check()).includes("has not been able to read"));
  }, 180_000);
});
