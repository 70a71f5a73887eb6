import { X509Certificate } from "node:crypto";
import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AccessConfig } from "#federation/admin-api/access-config.ts";
import type { AdminContext } from "#federation/admin-api/admin-context.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { initFederation } from "#services/global/federation-keys.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes } from "./in-process-planes.ts";
import { applyAll, euWest, exported, shop, shopCluster } from "./shop-resources.ts";
import { Place } from "./test-federation.ts";

const { signal } = new AbortController();
const dayMs = 86_400_000;
const access: AccessConfig = { bindings: ["early", "late"].map((name) => ({ role: "viewer", subject: { spiffeId: `spiffe://demo.atoll/atoll/client/${name}` } })) };

describe("what a federation issues by is renewed while its planes run", () => {
  let planes: InProcessPlanes;

  /** By a connection of its own, with a handshake each time. */
  const isAnswered = async (context: AdminContext, cluster?: string): Promise<boolean> => {
    using client = planes.client(context, cluster);
    return (cluster === undefined ? await client.call(globalRoutes.status, {}, signal) : await client.call(clusterRoutes.status, {}, signal)).status === 200;
  };

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    await planes.startGlobal(access);
    await planes.at(undefined, (admin) => applyAll(admin, [euWest, shopCluster("shop-eu"), shopCluster("shop-us")]));
    await planes.startCluster("shop-eu", { signer: shop }, access);
  }, 90_000);
  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("and planes and clients from before and after it know each other, each by the chain that it has", async () => {
    const early = planes.machineContext("early");
    planes.renewIssuing();
    const late = planes.machineContext("late");
    // Joins at the global plane and enrols at the other plane, both of which show a chain from before.
    await planes.startCluster("shop-us", { enrolsAt: "shop-eu" }, access);
    const [[, before], [, after]] = [await planes.planeChain("shop-eu"), await planes.planeChain("shop-us")];
    expect(after?.serialNumber).not.toBe(before?.serialNumber);
    expect(after?.publicKey.equals(before?.publicKey ?? after.publicKey)).toBe(true);
    for (const context of [early, late]) for (const plane of [undefined, "shop-eu", "shop-us"]) expect(await isAnswered(context, plane)).toBe(true);
    await planes.at("shop-us", (admin) => applyAll(admin, exported("catalog")));
    await eventually("what the new plane exports is known at the old one", async () => (await planes.at("shop-eu", (admin) => admin.list("ServiceImport", {}, signal))).length === 1);
  }, 60_000);

  it("and the status says until when it is good, as those of roots and authorities are", async () => {
    const { authorities = [] } = (await planes.at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal))).body;
    expect(authorities.map(({ role, trustDomain }) => `${trustDomain} ${role}`).toSorted()).toEqual(["demo.atoll authority", "demo.atoll issuing", "demo.atoll root", "shop.example authority", "shop.example root"]);
    const [, after] = await planes.planeChain("shop-us");
    expect(authorities.find(({ role }) => role === "issuing")?.notAfterMs).toBe(after?.validToDate.getTime());
  });
});

describe("atoll renew-issuing", () => {
  const place = new Place();
  const keysDir = join(place.directory, "keys");
  const renew = (...args: readonly string[]) => place.atoll("renew-issuing", "--keys", keysDir, ...args);
  const end = (): string => new X509Certificate(readFileSync(join(keysDir, "federation-issuing.pem"))).validToDate.toISOString().slice(0, 10);

  afterAll(() => place[Symbol.dispose]());

  it("does nothing before half of the year is over, and then wants the root's key and takes it from anywhere", async () => {
    expect(await renew()).toMatchObject({ code: 2, stderr: expect.stringContaining("holds no keys of a federation") as string });
    initFederation(keysDir, "shop.atoll", systemClock.nowMs() - 100 * dayMs);
    renameSync(join(keysDir, "federation-root.key"), join(place.directory, "offline.key"));
    const first = end();
    expect(await renew()).toMatchObject({ code: 0, stdout: `The federation's issuing certificate: good until ${first}\n` });
    expect(await renew("--force")).toMatchObject({ code: 1, stderr: expect.stringContaining("ATOLL_KEY_FILE_INVALID: the root's key is not at") as string });
    expect(end()).toBe(first);
    const renewed = await renew("--force", "--root-key", join(place.directory, "offline.key"));
    expect(end()).not.toBe(first);
    expect(renewed).toMatchObject({ code: 0, stdout: `The federation's issuing certificate: renewed, good until ${end()}\n` });
  }, 60_000);
});

describe("a federation whose issuing certificate is near its end", () => {
  it("is warned about by `atoll check`, which calls nothing wrong yet", async () => {
    await using planes = await InProcessPlanes.create(undefined, { ageMs: 345 * dayMs });
    await planes.startGlobal();
    const { code, out } = await planes.atoll(planes.writePlaneFile([], {}), "check");
    expect(out).toMatch(/^soon +the federation's issuing certificate ends in (?:19|20) d: .*`atoll renew-issuing --root-key FILE`/m);
    expect(code, out).toBe(0);
  }, 60_000);

  it("is what `atoll check` names after its end, too, when nobody lets anybody in any more", async () => {
    await using planes = await InProcessPlanes.create(undefined, { ageMs: 366 * dayMs });
    await planes.startGlobal();
    const { code, out } = await planes.atoll(planes.writePlaneFile([], {}), "check");
    expect(out).toMatch(/^wrong +the global plane does not answer: /m);
    expect(out).toMatch(/^wrong +the federation's issuing certificate ended (?:24 h|1 d) ago: .*`atoll renew-issuing/m);
    expect(code).toBe(1);
  }, 60_000);

  it("is what `atoll check` calls wrong in its last seven days", async () => {
    await using planes = await InProcessPlanes.create(undefined, { ageMs: 360 * dayMs });
    await planes.startGlobal();
    const { code, out } = await planes.atoll(planes.writePlaneFile([], {}), "check");
    expect(out).toMatch(/^wrong +the federation's issuing certificate ends in [45] d/m);
    expect(code).toBe(1);
  }, 60_000);
});
