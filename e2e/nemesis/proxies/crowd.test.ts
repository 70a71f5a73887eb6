import { afterAll, beforeAll, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { eventually } from "../../harness/eventually.ts";
import { InProcessPlanes } from "../../harness/in-process-planes.ts";
import { applyAll, euWest, shop, shopCluster } from "../../harness/shop-resources.ts";
import { Crowd } from "./crowd.ts";

const { signal } = new AbortController();
const count = 12;
let planes: InProcessPlanes;

beforeAll(async () => {
  planes = await InProcessPlanes.create();
  await planes.startGlobal();
  await planes.at(undefined, async (admin) => await applyAll(admin, [euWest, shopCluster("shop-eu")]));
  await planes.startCluster("shop-eu", { signer: shop });
}, 90_000);

afterAll(async () => {
  await planes[Symbol.asyncDispose]();
}, 30_000);

async function workloadToken(): Promise<string> {
  return await planes.clusterToken("shop-eu", { kind: "workload", namespace: "web", serviceAccount: "probe" });
}

async function rowsOf(crowd: Crowd): Promise<readonly { readonly name: string; readonly connected: boolean }[]> {
  const { proxies } = await planes.at("shop-eu", async (admin) => (await admin.call(clusterRoutes.status, {}, signal)).body);
  return proxies.filter(({ name }) => name.startsWith(crowd.name));
}

/** As a terminal, or what bounds a run's time, signals every process of the run. */
function kill(crowd: Crowd, name: NodeJS.Signals): void {
  if (crowd.pid === undefined) throw new Error("the crowd has no process");
  process.kill(crowd.pid, name);
}

it("a crowd of proxies is connected, is cut off as one, comes back, and leaves nobody to wait for", async () => {
  const crowd = await Crowd.join(await workloadToken(), count, signal);
  const connected = async (): Promise<number> => (await rowsOf(crowd)).filter((row) => row.connected).length;
  expect(new Set((await rowsOf(crowd)).map(({ name }) => name)).size).toBe(count);
  crowd.cut();
  await eventually("the plane has noticed", async () => (await connected()) === 0);
  await crowd.connected(0, signal);
  crowd.open();
  await crowd.connected(count, signal);
  expect(await connected()).toBe(count);
  await crowd.leave();
  await eventually("the plane knows none of them", async () => (await rowsOf(crowd)).length === 0);
}, 120_000);

it.each(["SIGTERM", "SIGINT"] as const)("a crowd that is told to end along with the whole run (%s) still comes back and leaves as it is told", async (name) => {
  const crowd = await Crowd.join(await workloadToken(), count, signal);
  crowd.cut();
  kill(crowd, name);
  await crowd.connected(0, signal);
  crowd.open();
  await crowd.connected(count, signal);
  await crowd.leave();
  await eventually("the plane knows none of them", async () => (await rowsOf(crowd)).length === 0);
}, 120_000);

it("a crowd whose process ends says how, at once and at every order", async () => {
  const crowd = await Crowd.join(await workloadToken(), count, signal);
  kill(crowd, "SIGKILL");
  await expect(crowd.connected(0, signal)).rejects.toThrow("the process of the simulated proxies has ended by itself: SIGKILL");
  expect(() => crowd.open()).toThrow("SIGKILL");
  await expect(crowd.leave()).rejects.toThrow("SIGKILL");
}, 120_000);

it("a crowd that cannot join says why", async () => {
  await expect(Crowd.join("atoll1.nonsense", count, signal)).rejects.toThrow("the process of the simulated proxies has ended by itself: the join token is damaged");
}, 120_000);

it("a crowd that nobody waits for any more is given up at once", async () => {
  const aborted = AbortSignal.abort();
  await expect(Crowd.join(await workloadToken(), count, aborted)).rejects.toThrow("aborted");
}, 120_000);
