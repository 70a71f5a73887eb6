import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { eventually } from "./eventually.ts";
import type { InProcessPlanes } from "./in-process-planes.ts";
import { ShopPlanes } from "./shop-planes-fixture.ts";
import { applyAll, exported, shopCluster } from "./shop-resources.ts";

const { signal } = new AbortController();

describe("planes whose stores answer and take no writes, in one process", () => {
  let shopPlanes: ShopPlanes;
  let planes: InProcessPlanes;

  const setWritable = async (isWritable: boolean): Promise<void> => void (await Promise.all([planes.setWritable("global", isWritable), planes.setWritable("shop-eu", isWritable)]));

  beforeAll(async () => {
    shopPlanes = await ShopPlanes.open();
    ({ planes } = shopPlanes);
  }, 90_000);

  afterAll(async () => await shopPlanes[Symbol.asyncDispose](), 30_000);

  it("refuse writes with one code, answer reads as of now, say what is wrong and what to do, and take writes again by themselves", async () => {
    await setWritable(false);
    await expect(planes.at("shop-eu", (admin) => applyAll(admin, exported("cart")))).rejects.toMatchObject({ code: "ATOLL_STORE_UNWRITABLE" });
    await expect(planes.at(undefined, (admin) => applyAll(admin, [shopCluster("shop-us")]))).rejects.toMatchObject({ code: "ATOLL_STORE_UNWRITABLE" });
    const { body: ofGlobal, staleSince } = await planes.at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal));
    const { body: ofCluster } = await planes.at("shop-eu", (admin) => admin.call(clusterRoutes.status, {}, signal));
    for (const { unwritable, storeAwaySinceMs } of [ofGlobal, ofCluster]) {
      expect([unwritable, storeAwaySinceMs]).toMatchObject([[{ what: "its store", reason: "told to be full" }], undefined]);
    }
    expect([staleSince, await shopPlanes.services()]).toEqual([undefined, ["catalog"]]);
    expect(await shopPlanes.metrics("shop-eu")).toMatch(/^atoll_plane_unwritable\{what="its store",[^}]*\} 1$/m);

    const found = await shopPlanes.check();
    expect(found).toMatch(/wrong {2}the global plane has not been able to write its store for .* \(told to be full\): it answers by what it knows, and takes no changes/);
    expect(found).toMatch(/wrong {2}the plane of shop-eu has not been able to write its store for /);
    // It hears; what it hears it cannot keep.
    expect(found).not.toContain("does not hear the global plane");

    await setWritable(true);
    await eventually("check finds nothing of it", async () => !(await shopPlanes.check()).includes("has not been able to write"));
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("cart")));
    await eventually("it is shown", async () => (await shopPlanes.services()).length === 2);
    expect(await shopPlanes.metrics("shop-eu")).not.toMatch(/^atoll_plane_unwritable\{/m);
  }, 180_000);
});
