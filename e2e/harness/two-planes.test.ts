import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { storeRoutes } from "#federation/admin-api/store-routes.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, exported, policy, shop, shopCluster } from "./shop-resources.ts";

const { signal } = new AbortController();

/** Two planes know of each other after ten of each other's heartbeats; a busy host takes longer. */
const findingMs = 90_000;

describe("a data directory that was copied, over planes in one process", () => {
  let planes: InProcessPlanes;
  let global: RunningPlane;

  const at = async <T>(where: string | undefined, act: (admin: AdminClient) => Promise<T>): Promise<T> => await planes.at(where, act);
  const names = async (where: string, kind: "ServiceImport" | "TrafficPolicy"): Promise<readonly string[]> => (await at(where, (admin) => admin.list(kind, {}, signal))).map(({ metadata }) => metadata.name).toSorted();
  const atoll = async (...args: readonly string[]) => await planes.atoll(planes.writePlaneFile(["shop-eu", "shop-us"], { [shop]: "shop-eu" }), ...args);

  beforeAll(async () => {
    planes = await InProcessPlanes.create(undefined, { stores: "files" });
    global = await planes.startGlobal();
    await at(undefined, (admin) => applyAll(admin, [euWest, shopCluster("shop-eu"), shopCluster("shop-us")]));
    await planes.startCluster("shop-eu", { signer: shop });
  }, 90_000);

  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("of a cluster: neither is believed or written to, what was known stays, and the one that an operator names goes on", async () => {
    const role = { enrolsAt: "shop-eu" } as const;
    const first = await planes.startCluster("shop-us", role);
    await at("shop-us", (admin) => applyAll(admin, exported("kept")));
    await eventually("the export is known", async () => (await names("shop-eu", "ServiceImport")).includes("kept.shop-us"));
    await first.stop();
    await planes.copyDirectory("shop-us", "shop-us-copy");
    const original = await planes.startCluster("shop-us", role);
    await at("shop-us", (admin) => applyAll(admin, exported("later")));
    await eventually("the plane goes on", async () => (await names("shop-eu", "ServiceImport")).includes("later.shop-us"));

    const copied = await planes.startCluster("shop-us", role, undefined, "shop-us-copy");
    // Its ports are others once its store stands otherwise.
    const atCopy = async <T>(act: (admin: AdminClient) => Promise<T>): Promise<T> => {
      using admin = planes.adminOfCopy("shop-us-copy", "shop-us");
      return await act(admin);
    };
    await atCopy((admin) => applyAll(admin, exported("copied")));
    const statusOf = async (admin: AdminClient) => (await admin.call(clusterRoutes.status, {}, signal)).body;
    await eventually("both know that they are two", async () => (await atCopy(statusOf)).incarnation?.rival !== undefined && (await at("shop-us", statusOf)).incarnation?.rival !== undefined, findingMs);
    await eventually("so does the global plane", async () => (await at(undefined, async (admin) => (await admin.call(globalRoutes.status, {}, signal)).body)).clusters.find(({ id }) => id === "shop-us")?.doubled !== undefined, findingMs);
    expect(await names("shop-eu", "ServiceImport")).toEqual(["kept.shop-us", "later.shop-us"]);
    await expect(atCopy((admin) => applyAll(admin, exported("refused")))).rejects.toMatchObject({ code: "ATOLL_PLANE_DOUBLED" });
    await expect(at("shop-us", (admin) => applyAll(admin, exported("refused")))).rejects.toMatchObject({ code: "ATOLL_PLANE_DOUBLED" });
    const { code, out } = await atoll("check");
    expect(code).toBe(1);
    expect(out).toMatch(/two processes speak as shop-us: .*, which answers here, and .*, which global hears as well.*`atoll reconcile shop-us --keep`/);
    expect(await original.metrics()).toMatch(/^atoll_plane_doubled\{.*\} 1$/m);

    expect((await atoll("reconcile", "shop-us", "--keep")).err).toBe("");
    await eventually("the named one takes writes at its next port", async () => await at("shop-us", async (admin) => (await applyAll(admin, exported("named")), true)));
    await eventually("the named one is followed", async () => (await names("shop-eu", "ServiceImport")).includes("named.shop-us"));
    expect(await names("shop-eu", "ServiceImport")).toEqual(["kept.shop-us", "later.shop-us", "named.shop-us"]);
    await eventually("the other is told", async () => {
      const { body } = await atCopy((admin) => admin.call(storeRoutes.store, {}, signal));
      return body.state === "behind" && body.reason === "peer" && body.witness === "global";
    });
    await expect(atCopy((admin) => applyAll(admin, exported("refused")))).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    expect((await atoll("check")).out).not.toMatch(/speak as/);
    await copied.stop();
  }, 300_000);

  it("of the global plane: every cluster hears two, keeps what it has, and follows the one that is named", async () => {
    await at(undefined, (admin) => applyAll(admin, [policy("kept")]));
    for (const where of ["shop-eu", "shop-us"]) await eventually(`${where} has the policy`, async () => (await names(where, "TrafficPolicy")).includes("kept"));
    await global.stop();
    await planes.copyDirectory("global", "global-copy");
    const original = await planes.startGlobal();
    const copied = await planes.startGlobal(undefined, "global-copy");
    // Its ports are others once its store stands otherwise.
    const atCopy = async <T>(act: (admin: AdminClient) => Promise<T>): Promise<T> => {
      using admin = planes.adminOfCopy("global-copy");
      return await act(admin);
    };
    await atCopy((admin) => applyAll(admin, [policy("copied")]));
    const heardTwice = async (where: string): Promise<boolean> => (await at(where, async (admin) => (await admin.call(clusterRoutes.status, {}, signal)).body)).globalPlane.doubled !== undefined;
    for (const where of ["shop-eu", "shop-us"]) await eventually(`${where} hears two`, async () => await heardTwice(where), findingMs);
    await eventually("both know it", async () => /^atoll_plane_doubled\{.*\} 1$/m.test(await original.metrics()), findingMs);
    await expect(at(undefined, (admin) => applyAll(admin, [policy("refused")]))).rejects.toMatchObject({ code: "ATOLL_PLANE_DOUBLED" });
    expect((await atoll("check")).out).toMatch(/two processes speak as global: .*`atoll reconcile global --keep`/);

    expect((await atoll("reconcile", "global", "--keep")).err).toBe("");
    await eventually("the named one takes writes at its next port", async () => await at(undefined, async (admin) => (await applyAll(admin, [policy("named")]), true)));
    for (const where of ["shop-eu", "shop-us"]) {
      await eventually(`${where} follows the named one`, async () => (await names(where, "TrafficPolicy")).includes("named"));
      expect(await names(where, "TrafficPolicy")).toEqual(["kept", "named"]);
    }
    await eventually("the other is told", async () => {
      const { body } = await atCopy((admin) => admin.call(storeRoutes.store, {}, signal));
      return body.state === "behind" && body.reason === "peer";
    });
    await copied.stop();
  }, 300_000);
});
