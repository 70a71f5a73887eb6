import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { eventually } from "./eventually.ts";
import type { InProcessPlanes, RunningPlane } from "./in-process-planes.ts";
import { openTwoShops } from "./shop-planes-fixture.ts";
import { applyAll, exported, shop } from "./shop-resources.ts";

const { signal } = new AbortController();

describe("planes of which a key's files are damaged, over planes in one process", () => {
  let planes: InProcessPlanes;
  let signing: RunningPlane;
  let other: RunningPlane;

  const isImported = async (cluster: string, service: string): Promise<boolean> => (await planes.at(cluster, (admin) => admin.list("ServiceImport", {}, signal))).some(({ spec }) => spec.name === service);
  const closedRoles = async (cluster: string): Promise<readonly string[]> => ((await planes.at(cluster, (admin) => admin.call(clusterRoutes.status, {}, signal))).body.identity.closedRoles ?? []).map(({ role }) => role);
  const check = async () => await planes.atoll(planes.writePlaneFile(["shop-eu", "shop-us"], { [shop]: "shop-eu" }), "check");

  beforeAll(async () => {
    ({ planes, signing, other } = await openTwoShops());
    await planes.at("shop-us", (admin) => applyAll(admin, exported("early")));
    await eventually("what the one exports is known at the other", () => isImported("shop-eu", "early"));
  }, 90_000);
  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("one without its signing key receives, takes writes and is read, what it said before holds, and it speaks again once the file is back", async () => {
    await other.stop();
    const path = planes.fileOf("shop-us", "ca", "signing.key");
    const copy = readFileSync(path);
    writeFileSync(path, Buffer.alloc(copy.length));
    other = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    expect(await closedRoles("shop-us")).toEqual(["signing"]);
    expect(await other.metrics()).toMatch(/^atoll_plane_role_closed\{.*role="signing".*\} 1$/m);
    const { code, out } = await check();
    expect(code).toBe(1);
    expect(out).toMatch(/the plane of shop-us publishes nothing, .*signing\.key/);
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("elsewhere")));
    await eventually("what others say arrives", () => isImported("shop-us", "elsewhere"));
    await planes.at("shop-us", (admin) => applyAll(admin, exported("late")));
    expect(await isImported("shop-eu", "early")).toBe(true);
    expect(await isImported("shop-eu", "late")).toBe(false);
    writeFileSync(path, copy);
    await eventually("it publishes again", () => isImported("shop-eu", "late"), 60_000);
    expect(await closedRoles("shop-us")).toEqual([]);
  }, 120_000);

  it("one without its trust domain's root goes on, refuses what takes the root or the authority with one code, and opens once the file is back", async () => {
    await signing.stop();
    const path = planes.fileOf("shop-eu", "signer", "root.key");
    const copy = readFileSync(path);
    rmSync(path);
    signing = await planes.startCluster("shop-eu", { signer: shop });
    expect(await closedRoles("shop-eu")).toEqual(["signer"]);
    expect(await signing.metrics()).toMatch(/^atoll_plane_role_closed\{.*role="signer".*\} 1$/m);
    expect((await check()).out).toMatch(/the plane of shop-eu certifies no cluster of its trust domain .*root\.key/);
    const approval = planes.at("shop-eu", (admin) => admin.call(clusterRoutes.approveRelationship, { params: { name: "none" }, query: {} }, signal));
    await expect(approval).rejects.toMatchObject({ problem: { code: "ATOLL_ROLE_CLOSED", status: 503, detail: expect.stringContaining("root.key is missing") as string } });
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("meanwhile")));
    await eventually("it publishes", () => isImported("shop-us", "meanwhile"));
    writeFileSync(path, copy);
    await eventually("it is the signer again", async () => (await closedRoles("shop-eu")).length === 0);
  }, 90_000);
});
