import { afterAll, beforeAll, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion } from "#federation/model/resource.ts";
import { eventually } from "../../harness/eventually.ts";
import { InProcessPlanes } from "../../harness/in-process-planes.ts";
import { Crowd } from "./crowd.ts";

const { signal } = new AbortController();
const shop = "shop.example" as TrustDomainName;
const count = 12;
let planes: InProcessPlanes;

beforeAll(async () => {
  planes = await InProcessPlanes.create();
  await planes.startGlobal();
  await planes.at(undefined, async (admin) => {
    await admin.apply({ apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} }, {}, signal);
    await admin.apply({ apiVersion, kind: "Cluster", metadata: { name: "shop-eu" }, spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces: ["web"], gateways: [] } }, {}, signal);
  });
  await planes.startCluster("shop-eu", { signer: shop });
}, 90_000);

afterAll(async () => {
  await planes[Symbol.asyncDispose]();
}, 30_000);

it("a crowd of proxies is connected, is cut off as one, comes back, and leaves nobody to wait for", async () => {
  const body = { purpose: { kind: "workload", namespace: "web", serviceAccount: "probe" } } as const;
  const { token } = await planes.at("shop-eu", async (admin) => (await admin.call(clusterRoutes.createJoinToken, { body }, signal)).body);
  const rows = async () => (await planes.at("shop-eu", async (admin) => (await admin.call(clusterRoutes.status, {}, signal)).body)).proxies;
  const connected = async (): Promise<number> => (await rows()).filter((row) => row.connected).length;

  const crowd = await Crowd.join(token, count);
  expect(new Set((await rows()).map(({ name }) => name)).size).toBe(count);
  crowd.cut();
  await eventually("the plane has noticed", async () => (await connected()) === 0);
  await crowd.connected(0);
  crowd.open();
  await crowd.connected(count);
  expect(await connected()).toBe(count);
  await crowd.leave();
  await eventually("the plane knows none of them", async () => (await rows()).length === 0);
}, 120_000);
