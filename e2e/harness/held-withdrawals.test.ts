import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyOfNothing } from "#federation/store/exchanged-store-fixture.ts";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { rolloutRoute } from "#federation/admin-api/rollout-route.ts";
import { unsignedWithdrawalsMax } from "#federation/model/removal-bounds.ts";
import type { Resource } from "#federation/model/resource.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, exported, policy, shop, shopCluster } from "./shop-resources.ts";

const { signal } = new AbortController();

describe("withdrawals that nothing explains, over planes in one process", () => {
  let planes: InProcessPlanes;
  let global: RunningPlane;

  const at = async <T>(where: string | undefined, act: (admin: AdminClient) => Promise<T>): Promise<T> => await planes.at(where, act);
  const apply = async (where: string | undefined, resources: readonly Resource[]): Promise<void> =>
    await at(where, (admin) => applyAll(admin, resources));
  /** Names of what a cluster has learned of another. */
  const imports = async (where: string): Promise<string> => (await at(where, (admin) => admin.list("ServiceImport", {}, signal))).map(({ metadata }) => metadata.name).toSorted().join(" ");
  const atoll = async (...args: readonly string[]) => await planes.atoll(planes.writePlaneFile(["shop-eu", "shop-us"], { [shop]: "shop-eu" }), ...args);
  /** Waits until `atoll` with `args` prints what is wanted; a failure shows what it printed last. */
  const prints = async (wanted: string | RegExp, ...args: readonly string[]): Promise<void> => {
    await eventually(`\`atoll ${args.join(" ")}\` prints ${String(wanted)}`, async () => {
      const { out, err } = await atoll(...args);
      if (typeof wanted === "string" ? out.includes(wanted) : wanted.test(out)) return true;
      throw new Error(`${out}${err}`);
    });
  };

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    global = await planes.startGlobal();
    await apply(undefined, [euWest, shopCluster("shop-eu"), shopCluster("shop-us")]);
    await planes.startCluster("shop-eu", { signer: shop });
    await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
  }, 90_000);

  afterAll(async () => await planes[Symbol.asyncDispose](), 30_000);

  it("are held back of a cluster that has lost its store and its memory of it, over a restart of who holds them, until somebody lets them go", async () => {
    await apply("shop-us", [...exported("cart"), ...exported("catalog")]);
    await eventually("the other cluster has learned of both", async () => (await imports("shop-eu")) === "cart.shop-us catalog.shop-us");
    await planes.remake("shop-us", copyOfNothing);
    await prints("global goes on with 2 objects that shop-us offers no longer", "check");
    expect(await global.metrics()).toMatch(/atoll_replication_withdrawals_held\{publisher="shop-us",plane="global"\} 2/);
    await planes.loseLeadership("global");
    await prints("`atoll withdrawals global --of shop-us --let-go`", "check");
    expect(await imports("shop-eu")).toBe("cart.shop-us catalog.shop-us");

    await apply("shop-us", exported("cart"));
    await prints(/global +shop-us +1 +shop-us\/ServiceExport\/web\/catalog/, "withdrawals");
    const gone = await atoll("withdrawals", "global", "--of", "shop-us", "--let-go");
    expect([gone.code, gone.out, gone.err]).toEqual([0, "global has removed 1 object of shop-us.\n", ""]);
    await eventually("the other cluster has let it go", async () => (await imports("shop-eu")) === "cart.shop-us");
    expect((await atoll("withdrawals")).code).toBe(0);
    expect((await atoll("withdrawals", "--let-go")).err).toMatch(/there is nothing to let go/);
  }, 180_000);

  it("are taken back by the cluster on an operator's word, from whoever holds them, but for what it has said or deleted anew", async () => {
    await apply("shop-us", [...exported("basket"), ...exported("stock"), ...exported("search"), ...exported("gone")]);
    const all = "basket.shop-us cart.shop-us gone.shop-us search.shop-us stock.shop-us";
    await eventually("the other cluster has learned of all", async () => (await imports("shop-eu")) === all);
    await planes.remake("shop-us", copyOfNothing);
    await prints("have shop-us take them back with `atoll reconcile shop-us --take-newer`", "check");
    const [basket] = exported("basket");
    if (basket?.kind !== "Service") throw new Error("the first is a service");
    await apply("shop-us", [{ ...basket, spec: { ...basket.spec, serviceAccounts: ["another"] } }, ...exported("gone")]);
    await prints(/global +shop-us +4 /, "withdrawals");
    await at("shop-us", (admin) => admin.remove("ServiceExport", { namespace: "web", name: "gone" }, {}, signal));
    await eventually("the other cluster knows that it is deleted", async () => (await imports("shop-eu")) === all.replace("gone.shop-us ", ""));

    expect((await atoll("reconcile", "shop-us", "--take-newer", "--without", "global", "--without", "shop-eu")).err).toContain("nobody is left to take from");
    const refilled = await atoll("reconcile", "shop-us", "--take-newer");
    expect([refilled.code, refilled.out.split("\n").toSorted().filter((line) => line !== "")]).toEqual([
      0,
      ["The store of shop-us is sound, and has taken back what it lacked.", ...["basket", "cart", "search", "stock"].map((name) => `taken    shop-us/ServiceExport/web/${name}`)],
    ]);
    await eventually("nothing is held back any more", async () => (await atoll("withdrawals")).code === 0);
    expect(await imports("shop-eu")).toBe(all.replace("gone.shop-us ", ""));
    expect((await at("shop-us", (admin) => admin.get("Service", { namespace: "web", name: "basket" }, signal))).spec.serviceAccounts).toEqual(["another"]);
    expect((await at("shop-us", (admin) => admin.get("Service", { namespace: "web", name: "stock" }, signal))).spec).toMatchObject({ serviceAccounts: ["stock"], ports: [{ name: "http", port: 80, protocol: "http" }] });
    expect((await atoll("reconcile", "shop-us", "--take-newer")).out).toBe("The store of shop-us is sound, and lacks nothing that others hold of it.\n");
    expect((await atoll("check")).out).not.toMatch(/offers no longer/);
    expect((await atoll("reconcile", "global", "--take-newer")).err).toContain("there is nothing to decide");
  }, 180_000);

  it("are taken back from another cluster, too, where the global plane is left out", async () => {
    await planes.remake("shop-us", copyOfNothing);
    await prints("4 objects that shop-us offers no longer", "check");
    const refilled = await atoll("reconcile", "shop-us", "--take-newer", "--without", "global");
    expect([refilled.code, refilled.out]).toEqual([0, expect.stringContaining("taken    shop-us/ServiceExport/web/stock\n") as string]);
    await eventually("nothing is held back any more", async () => (await atoll("withdrawals")).code === 0);
    for (const name of ["basket", "search", "stock"]) await at("shop-us", (admin) => admin.remove("ServiceExport", { namespace: "web", name }, {}, signal));
    await eventually("the other cluster has let them go", async () => (await imports("shop-eu")) === "cart.shop-us");
  }, 180_000);

  it("are not those that an owner makes: a deletion of everything that a cluster exports goes at once", async () => {
    await apply("shop-us", [...exported("cart"), ...exported("catalog")]);
    await eventually("the other cluster has learned of both", async () => (await imports("shop-eu")) === "cart.shop-us catalog.shop-us");
    for (const name of ["cart", "catalog"]) await at("shop-us", (admin) => admin.remove("ServiceExport", { namespace: "web", name }, {}, signal));
    await eventually("it has let both go", async () => (await imports("shop-eu")) === "");
    expect((await atoll("check")).out).not.toMatch(/offers no longer/);
  }, 60_000);

  it("are held back of a global plane that was made anew with less, until it says again what it lacks", async () => {
    const many = Array.from({ length: unsignedWithdrawalsMax + 2 }, (_, index) => policy(`p${index}`));
    const policies = async (where: string): Promise<number> => (await at(where, (admin) => admin.list("TrafficPolicy", {}, signal))).length;
    await apply(undefined, many);
    for (const where of ["shop-eu", "shop-us"]) await eventually(`${where} has all of them`, async () => (await policies(where)) === many.length);
    const copy = await planes.copyStore("global");
    global = await planes.remake("global", { ...copy, entries: copy.entries.filter(({ key }) => !key.includes("/meta/") && !key.includes("/TrafficPolicy/")) });
    for (const where of ["shop-eu", "shop-us"]) await prints(`${where} goes on with ${many.length} objects that global offers no longer`, "check");
    expect(await policies("shop-eu")).toBe(many.length);
    await apply(undefined, many.slice(1));
    await prints(/shop-eu +global +1 +global\/TrafficPolicy\/web\/p0/, "withdrawals", "shop-eu");
    expect((await atoll("withdrawals", "--let-go")).out).toBe("shop-eu has removed 1 object of global.\nshop-us has removed 1 object of global.\n");
    expect(await policies("shop-eu")).toBe(many.length - 1);

    for (const { metadata } of many.slice(1)) await at(undefined, (admin) => admin.remove("TrafficPolicy", { namespace: "web", name: metadata.name }, {}, signal));
    for (const where of ["shop-eu", "shop-us"]) await eventually(`${where} has let go of what was deleted`, async () => (await policies(where)) === 0);
    expect((await atoll("check")).out).not.toMatch(/offers no longer/);
    const { body } = await at(undefined, (admin) => admin.call(rolloutRoute("TrafficPolicy"), { params: { namespace: "web", name: "p1" }, query: { deleted: true } }, signal));
    expect(body).toMatchObject({ done: true, counts: { done: 2, refused: 0 } });
  }, 180_000);
});
