import { createHash, X509Certificate } from "node:crypto";
import { copyOfNothing } from "#federation/store/exchanged-store-fixture.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { storeRoutes, type StoreStandingView } from "#federation/admin-api/store-routes.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Resource } from "#federation/model/resource.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes } from "./in-process-planes.ts";
import { applyAll, euWest, exported, policy, shop } from "./shop-resources.ts";
import { TestProxy } from "./test-proxy.ts";

const { signal } = new AbortController();
const pay = "pay.example" as TrustDomainName;
const storefront = "storefront.web.svc.shop.example";
const relationship = "shop-calls-payments";

const cluster = (name: string, trustDomain: TrustDomainName, namespace: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name },
  spec: { region: "eu-west" as RegionId, trustDomain, exportNamespaces: [namespace], gateways: [{ address: "127.0.0.1", port: 15_443 }] },
});

describe("stores that go backwards, over planes in one process", () => {
  let planes: InProcessPlanes;
  let proxy: TestProxy;

  const at = async <T>(where: string | undefined, act: (admin: AdminClient) => Promise<T>): Promise<T> => await planes.at(where, act);
  const apply = async (where: string | undefined, ...resources: readonly Resource[]): Promise<void> =>
    await at(where, (admin) => applyAll(admin, resources));
  const standing = async (where?: string): Promise<StoreStandingView> => await at(where, async (admin) => (await admin.call(storeRoutes.store, {}, signal)).body);
  /** `name ms`, in order. */
  const policies = async (where?: string): Promise<readonly string[]> =>
    (await at(where, (admin) => admin.list("TrafficPolicy", {}, signal))).map(({ metadata, spec }) => `${metadata.name} ${spec.timeouts?.requestMs}`).toSorted((a, b) => (a < b ? -1 : 1));
  const holds = async (where: string, wanted: readonly string[]): Promise<boolean> => JSON.stringify(await policies(where)) === JSON.stringify(wanted);
  const relationships = async (where?: string): Promise<readonly string[]> => (await at(where, (admin) => admin.list("Relationship", {}, signal))).map(({ metadata }) => metadata.name);
  const pin = async (name: TrustDomainName): Promise<string> => {
    const { spec } = await at(undefined, (admin) => admin.get("TrustDomain", { name }, signal));
    return createHash("sha256").update(new X509Certificate(spec.authorityCertificatePem).publicKey.export({ type: "spki", format: "der" })).digest("hex");
  };
  const relate = async (): Promise<void> => {
    const validUntil = "2099-01-01T00:00:00Z";
    const spec = { caller: { trustDomain: shop, authoritySha256: await pin(shop), principals: ["ns/web/sa/edge"] }, callee: { trustDomain: pay, authoritySha256: await pin(pay), services: ["core/payments"] }, validUntil };
    await apply(undefined, { apiVersion, kind: "Relationship", metadata: { name: relationship }, spec });
    for (const where of ["shop-eu", "pay-eu"]) {
      await eventually(`the relationship is known in ${where}`, async () => (await relationships(where)).includes(relationship));
      await at(where, (admin) => admin.call(clusterRoutes.approveRelationship, { params: { name: relationship } }, signal));
    }
    await eventually("both approvals are known everywhere", async () => (await at("shop-us", (admin) => admin.get("Relationship", { name: relationship }, signal))).status?.approvals?.length === 2);
  };
  const isBehind = async (where?: string): Promise<boolean> => (await standing(where)).state === "behind";
  /** Ports are others after each start. */
  const atoll = async (...args: readonly string[]) => await planes.atoll(planes.writePlaneFile(["shop-eu", "shop-us", "pay-eu"], { [shop]: "shop-eu", [pay]: "pay-eu" }), ...args);

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    await planes.startGlobal();
    await apply(undefined, euWest, cluster("shop-eu", shop, "web"), cluster("shop-us", shop, "web"), cluster("pay-eu", pay, "core"));
    await planes.startCluster("shop-eu", { signer: shop });
    await planes.startCluster("pay-eu", { signer: pay });
    await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    proxy = await TestProxy.join(await planes.clusterToken("shop-us", { kind: "workload", namespace: "web", serviceAccount: "edge" }));
  }, 90_000);

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("put back under a running global plane: it stops writing and publishing, clusters keep what they hold, and taking what is newer loses nothing that was acknowledged", async () => {
    await apply(undefined, policy("kept", 1_000), policy("changed", 1_000), policy("deleted", 1_000));
    await relate();
    const before = await planes.copyStore("global");
    await apply(undefined, policy("changed", 2_000), policy("added", 3_000));
    await at(undefined, (admin) => admin.remove("TrafficPolicy", { namespace: "web", name: "deleted" }, {}, signal));
    await at(undefined, (admin) => admin.remove("Relationship", { name: relationship }, {}, signal));
    const latest = ["added 3000", "changed 2000", "kept 1000"];
    for (const where of ["shop-eu", "shop-us", "pay-eu"]) {
      await eventually(`${where} holds the latest`, async () => await holds(where, latest));
      await eventually(`${where} has let the relationship go`, async () => (await relationships(where)).length === 0);
    }

    await planes.witnessed("global");
    await planes.putBack("global", before);
    await eventually("the global plane has noticed", () => isBehind());
    await expect(apply(undefined, policy("refused", 1_000))).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    const { code, out } = await atoll("check");
    expect(code).toBe(1);
    expect(out).toMatch(/the store of global is .*`atoll reconcile global`/);
    expect(await policies("shop-us")).toEqual(latest);

    const shown = await atoll("reconcile");
    expect(shown.code).toBe(1);
    expect(shown.out).toMatch(/global +behind/);
    const decided = await atoll("reconcile", "--take-newer");
    expect(decided.err).toBe("");
    expect(decided.out).toMatch(/dropped +Relationship shop-calls-payments/);
    await eventually("the global plane is sound again", async () => !(await isBehind()));
    expect(await policies()).toEqual(latest);
    expect(await relationships()).toEqual([]);
    await apply(undefined, policy("later", 4_000));
    for (const where of ["shop-eu", "shop-us", "pay-eu"]) await eventually(`${where} follows again`, async () => await holds(where, [...latest, "later 4000"]));
    expect((await atoll("check")).out).not.toMatch(/reconcile/);
  }, 180_000);

  it("put back and kept as they are: everybody goes back to that, but for what was revoked since", async () => {
    await relate();
    const before = await planes.copyStore("global");
    await at(undefined, (admin) => admin.remove("Relationship", { name: relationship }, {}, signal));
    await apply(undefined, policy("kept", 9_000));
    await eventually("all have the later state", async () => (await relationships("shop-eu")).length === 0 && (await policies("shop-eu")).includes("kept 9000"));
    await eventually("so has the other side", async () => (await relationships("pay-eu")).length === 0);
    await planes.witnessed("global");
    await planes.putBack("global", before);
    await eventually("the global plane has noticed", () => isBehind());
    const decided = await atoll("reconcile", "global", "--keep");
    expect(decided.err).toBe("");
    expect(decided.out).toMatch(/dropped +Relationship shop-calls-payments/);
    for (const where of ["shop-eu", "pay-eu"]) {
      await eventually(`${where} goes by what was kept`, async () => (await policies(where)).includes("kept 1000"));
      expect(await relationships(where)).toEqual([]);
    }
  }, 180_000);

  it("put back under a global plane that relays: nobody loses what a cluster has exported since, not even for a moment", async () => {
    const policyNames = Array.from({ length: 12 }, (_, index) => `filler-${index}`);
    await apply(undefined, ...policyNames.map((name) => policy(name, 1_000)));
    const before = await planes.copyStore("global");
    await apply("shop-eu", ...exported("since"));
    const imports = async (): Promise<readonly string[]> => (await at("shop-us", (admin) => admin.list("ServiceImport", {}, signal))).map(({ metadata }) => metadata.name);
    await eventually("the export is known in the other cluster", async () => (await imports()).includes("since.shop-eu"));
    await planes.witnessed("global");
    await planes.putBack("global", before);
    await eventually("the global plane has noticed", () => isBehind());
    const watching = new AbortController();
    let looks = 0;
    let misses = 0;
    const watched = (async () => {
      while (!watching.signal.aborted) {
        if (!(await imports()).includes("since.shop-eu")) misses++;
        looks++;
      }
    })();
    expect((await atoll("reconcile", "global", "--keep")).err).toBe("");
    await eventually("the global plane is sound again", async () => !(await isBehind()));
    await apply(undefined, policy("afterwards", 1_000));
    await eventually("the other cluster follows again", async () => (await policies("shop-us")).includes("afterwards 1000"));
    watching.abort();
    await watched;
    expect(looks).toBeGreaterThan(10);
    expect(misses).toBe(0);
  }, 180_000);

  it("wiped under a cluster: its exports stay with the others, its proxies keep what they hold, and it is refilled from what the global plane holds", async () => {
    await apply("shop-eu", ...exported("storefront"));
    const isImported = (): boolean => proxy.service(storefront)?.places.some((place) => place.kind === "remote" && place.cluster === "shop-eu") === true;
    await eventually("the export is in another cluster's discovery", isImported);
    await planes.witnessed("shop-eu");
    await planes.putBack("shop-eu", copyOfNothing);
    await eventually("its plane has noticed", () => isBehind("shop-eu"));
    expect(isImported()).toBe(true);
    const { out } = await atoll("check");
    expect(out).toMatch(/the store of shop-eu is .*`atoll reconcile shop-eu`/);
    const decided = await atoll("reconcile", "shop-eu", "--take-newer");
    expect(decided.err).toBe("");
    expect(decided.out).toMatch(/taken +shop-eu\/ServiceExport\/web\/storefront/);
    await eventually("its plane serves again", async () => !(await isBehind("shop-eu")));
    const service = await at("shop-eu", (admin) => admin.get("Service", { namespace: "web", name: "storefront" }, signal));
    expect(service.spec).toEqual({ ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["storefront"] });
    expect(isImported()).toBe(true);
    // A change that it makes now reaches the others.
    await at("shop-eu", (admin) => admin.remove("ServiceExport", { namespace: "web", name: "storefront" }, {}, signal));
    await eventually("the withdrawal has arrived", () => !isImported());
  }, 180_000);

  it("of a plane that has lost its memory along with it are known by what the other planes hold", async () => {
    const before = await planes.copyStore("global");
    await apply(undefined, policy("unforgotten", 6_000));
    await eventually("a cluster has it", async () => (await policies("shop-us")).includes("unforgotten 6000"));
    await planes.remake("global", before);
    await eventually("the global plane was shown what it had said", async () => {
      const store = await standing();
      return store.state === "behind" && store.reason === "peer" && store.witness !== "this plane";
    });
    expect(await policies("shop-us")).toContain("unforgotten 6000");
    expect((await atoll("reconcile", "global", "--take-newer")).err).toBe("");
    await eventually("it is sound again", async () => !(await isBehind()));
    expect(await policies()).toContain("unforgotten 6000");
    await apply(undefined, policy("unforgotten", 7_000));
    await eventually("the clusters follow again", async () => (await policies("shop-us")).includes("unforgotten 7000"));
    await eventually("nobody mistrusts anybody", async () => (await atoll("check")).out.match(/reconcile/) === null);
  }, 180_000);

  it("take nothing back that is not their own, genuine word, and ask no plane that is behind itself", async () => {
    await planes.witnessed("shop-us");
    await planes.putBack("shop-us", copyOfNothing);
    await eventually("its plane has noticed", () => isBehind("shop-us"));
    const foreign = await at(undefined, async (admin) => (await admin.call(storeRoutes.heldObjects, { query: { origin: "shop-eu" } }, signal)).body.objects);
    expect(foreign.length).toBeGreaterThan(0);
    const bring = async (objects: readonly string[]): Promise<unknown> => await at("shop-us", (admin) => admin.call(storeRoutes.takeObjects, { body: { decision: "take-newer", objects: [...objects] } }, signal));
    await expect(bring(foreign.slice(0, 1))).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    const forged = Buffer.from(foreign[0] ?? "", "base64");
    forged[forged.length >> 1] = (forged[forged.length >> 1] ?? 0) ^ 1;
    await expect(bring([forged.toString("base64")])).rejects.toThrow();
    await planes.witnessed("global");
    await planes.putBack("global", copyOfNothing);
    await eventually("the global plane has noticed", () => isBehind());
    const refused = await atoll("reconcile", "global", "--take-newer");
    expect(refused.err).toMatch(/the store of shop-us is behind too.*--without shop-us/s);
    expect((await atoll("reconcile", "global", "--take-newer", "--without", "shop-us")).err).toBe("");
    expect((await atoll("reconcile", "shop-us", "--take-newer")).err).toBe("");
    for (const where of [undefined, "shop-us"]) await eventually("it is sound again", async () => !(await isBehind(where)));
    await apply(undefined, policy("afterwards", 5_000));
    await eventually("all is as before", async () => (await policies("shop-us")).includes("afterwards 5000"));
  }, 180_000);

  it("can be kept when nobody can be asked, and lose nothing by that", async () => {
    await apply("shop-us", { apiVersion, kind: "Service", metadata: { namespace: "web", name: "edge" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["edge"] } }, { apiVersion, kind: "ServiceExport", metadata: { namespace: "web", name: "edge" }, spec: {} });
    const before = await planes.copyStore("shop-us");
    await apply("shop-us", { apiVersion, kind: "Service", metadata: { namespace: "web", name: "lost" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["lost"] } });
    await planes.witnessed("shop-us");
    await planes.putBack("shop-us", before);
    await eventually("its plane has noticed", () => isBehind("shop-us"));
    expect((await atoll("reconcile", "shop-us", "--take-newer", "--without", "global")).err).toMatch(/nobody is left to take from/);
    const kept = await atoll("reconcile", "shop-us", "--keep", "--without", "global");
    expect([kept.code, kept.out]).toEqual([0, expect.not.stringMatching(/dropped/)]);
    expect(kept.err).toMatch(/Nobody was asked/);
    await eventually("its plane serves again", async () => !(await isBehind("shop-us")));
    expect((await at("shop-us", (admin) => admin.list("ServiceExport", {}, signal))).map(({ metadata }) => metadata.name)).toEqual(["edge"]);
  }, 180_000);

  it("of which nothing is wrong have nothing to decide, and a decision without a holder says how to go on", async () => {
    const sound = await atoll("reconcile", "--keep");
    expect(sound.code).not.toBe(0);
    expect(sound.err).toMatch(/nothing to decide/);
    const both = await atoll("reconcile", "global", "--keep", "--take-newer");
    expect(both.err).toMatch(/two decisions/);
    const unknown = await atoll("reconcile", "nowhere", "--keep");
    expect(unknown.err).toMatch(/there is no plane nowhere/);
    await expect(at(undefined, (admin) => admin.call(storeRoutes.reconcile, { body: { decision: "take-newer", held: [], epochAbove: 0 } }, signal))).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
  }, 60_000);
});
