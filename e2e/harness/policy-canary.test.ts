import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rollbackRoutes } from "#federation/admin-api/rollback-routes.ts";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { PolicyTrial } from "#federation/admin-api/status.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, shop, shopCluster } from "./shop-resources.ts";
import { TestProxy } from "./test-proxy.ts";

const { signal } = new AbortController();
const path = { namespace: "web", name: "slow" };
/** As long as no proxy of this test bears. */
const poisonMs = 60_000;
const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: path, spec: { targetRef: { namespace: "web", name: "storefront" }, timeouts: { requestMs } } });

interface Mesh {
  readonly planes: InProcessPlanes;
  readonly plane: RunningPlane;
  /** Of the command line. */
  readonly context: string;
  readonly proxies: TestProxy[];
}

describe("a policy that proxies refuse, over planes in one process", () => {
  let planes: InProcessPlanes;
  let plane: RunningPlane;
  let context: string;
  let proxies: TestProxy[];

  const write = async (requestMs: number): Promise<void> => await writeAt(planes, requestMs);
  const toldMs = (): readonly (number | undefined)[] => proxies.map(toldMsOf);
  const allHave = async (requestMs: number): Promise<void> => void (await eventually("all proxies have it", async () => toldMs().every((told) => told === requestMs)));
  const trials = async () => await trialsAt(planes);
  const nacks = (): readonly number[] => proxies.map((proxy) => proxy.stats.nacks);

  beforeAll(async () => {
    ({ planes, plane, context, proxies } = await openMesh(["first", "second", "third"], async (token, id) => await TestProxy.joinPicky(token, id, poisonMs)));
  }, 60_000);

  afterAll(async () => {
    for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("is seen by one of them alone, and named with its reason by status, check, metrics and the rollout", async () => {
    await write(poisonMs);
    const [trial] = await stoppedAt(planes);
    expect(trial).toMatchObject({ kind: "TrafficPolicy", id: "web/slow", state: "stopped", proxies: ["first"], cause: "refused" });
    expect([toldMs(), nacks()]).toEqual([[1_000, 1_000, 1_000], [1, 0, 0]]);
    const check = await planes.atoll(context, "check");
    expect(check.out).toContain("was stopped in shop-eu by proxy first, which was told of it first: ");
    expect(check.out).toContain("no request may take so long");
    expect(await plane.metrics()).toMatch(/atoll_policy_stopped\{policy="web\/slow",generation="[\d.]+",proxy="first",cause="refused"[^}]*\} 1/);
    const wait = await planes.atoll(context, "wait", "tp/web/slow", "--timeout", "1");
    expect([wait.code, wait.err]).toEqual([1, expect.stringContaining("no request may take so long")]);
  }, 40_000);

  it("stays so over a restart of the plane, which tells the proxies that come back what all had", async () => {
    await plane.stop();
    plane = await planes.startCluster("shop-eu", { signer: shop });
    context = planes.writePlaneFile(["shop-eu"], {});
    for (const [at, proxy] of proxies.entries()) proxies[at] = await proxy.moveTo(plane.ports["discovery"] ?? 0);
    await eventually("all are back", async () => proxies.every((proxy) => proxy.stats.connected));
    expect(await trials()).toMatchObject([{ state: "stopped", proxies: ["first"] }]);
    expect([toldMs(), nacks()]).toEqual([[1_000, 1_000, 1_000], [0, 0, 0]]);
  }, 40_000);

  it("is undone by `atoll rollback`, a write of its own, and what comes next is tried anew", async () => {
    const listed = await planes.atoll(context, "rollback", "tp/web/slow", "--list");
    expect(listed.out).toMatch(/GENERATION +AT +REVISION +ENDED BY\n +1 +global +\d+ +another form/);
    const dry = await planes.atoll(context, "rollback", "tp/web/slow", "--dry-run");
    expect([dry.code, dry.err]).toEqual([0, expect.stringContaining("A dry run: nothing was written.")]);
    expect(await trials()).toHaveLength(1);
    const undone = await planes.atoll(context, "rollback", "tp/web/slow");
    expect(undone.out).toMatch(/TrafficPolicy +web\/slow +global +3 +changed/);
    await eventually("nothing is held back", async () => (await trials()).length === 0);
    expect(await planes.at(undefined, async (admin) => (await admin.get("TrafficPolicy", path, signal)).spec.timeouts?.requestMs)).toBe(1_000);
    await write(2_000);
    await allHave(2_000);
    const old = await planes.atoll(context, "rollback", "tp/web/slow", "--to", "1");
    expect(old.code).toBe(0);
    await allHave(1_000);
  }, 40_000);

  it("and one that was deleted comes back by it, with `If-Match` as of any write, and no right does", async () => {
    const { rollback } = rollbackRoutes("TrafficPolicy");
    await planes.at(undefined, async (admin) => {
      await expect(admin.call(rollback, { params: path, body: {}, ifRevision: 1 }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
      await admin.remove("TrafficPolicy", path, {}, signal);
      const { status, body } = await admin.call(rollback, { params: path, body: {} }, signal);
      expect([status, body.spec.timeouts?.requestMs]).toEqual([201, 1_000]);
      await expect(admin.call(rollback, { params: path, body: { to: 99 } }, signal)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
      await expect(admin.call(rollbackRoutes("Relationship").rollback, { params: { name: "any" }, body: {} }, signal)).rejects.toMatchObject({ code: "ATOLL_ROLLBACK_REFUSED" });
    });
    const audit = await planes.atoll(context, "audit", "-o", "json");
    expect(audit.out).toContain("rollbackTrafficPolicy");
  }, 40_000);
});

describe("a policy of which nobody says anything, over planes in one process", () => {
  let planes: InProcessPlanes;
  let plane: RunningPlane;
  let context: string;
  let proxies: TestProxy[];

  const trials = async () => await trialsAt(planes);

  beforeAll(async () => {
    ({ planes, plane, context, proxies } = await openMesh(["first", "second", "third", "fourth"], async (token, id) => await TestProxy.joinMute(token, id, poisonMs)));
  }, 60_000);

  afterAll(async () => {
    for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("is held back once all who were told of it first have left, is named as that, and refused by nobody", async () => {
    await writeAt(planes, poisonMs);
    for (const name of ["first", "second", "third"]) {
      await eventually(`${name} is told of it`, async () => (await trials()).some(({ proxies: told }) => told.includes(name)));
      await proxies.shift()?.[Symbol.asyncDispose]();
    }
    expect(await stoppedAt(planes)).toMatchObject([{ id: "web/slow", cause: "left", triedAgain: true, proxies: ["third"] }]);
    expect((await planes.atoll(context, "check")).out).toContain("is held back in shop-eu by proxy third, which was told of it first: every proxy that was told of it first has left");
    expect(await plane.metrics()).toMatch(/atoll_policy_stopped\{policy="web\/slow",generation="[\d.]+",proxy="third",cause="left"[^}]*\} 1/);
    const wait = await planes.atoll(context, "wait", "tp/web/slow", "--timeout", "1");
    expect(wait.out + wait.err).toContain("it is tried again, and the others keep the one before");
    expect(wait.out + wait.err).not.toContain("refused");
  }, 40_000);

  it("is tried again by itself, also by a plane that starts meanwhile, and is in force once somebody answers", async () => {
    await plane.stop();
    plane = await planes.startCluster("shop-eu", { signer: shop });
    expect(await trials()).toMatchObject([{ state: "stopped", cause: "left", triedAgain: true }]);
    for (const [at, proxy] of proxies.entries()) proxies[at] = await proxy.moveTo(plane.ports["discovery"] ?? 0);
    await eventually("it is told", () => proxies.map(toldMsOf).includes(poisonMs));
    await eventually("nothing is held back", async () => (await trials()).length === 0);
  }, 40_000);
});

/** Planes of one cluster, whose proxies, called `ids`, have a policy that all of them bear. */
async function openMesh(ids: readonly string[], join: (token: string, id: string) => Promise<TestProxy>): Promise<Mesh> {
  const planes = await InProcessPlanes.create();
  await planes.startGlobal();
  await planes.at(undefined, async (admin) => await applyAll(admin, [euWest, shopCluster("shop-eu")]));
  const plane = await planes.startCluster("shop-eu", { signer: shop });
  const context = planes.writePlaneFile(["shop-eu"], {});
  await planes.at("shop-eu", async (admin) => await admin.apply({ apiVersion, kind: "Service", metadata: { namespace: "web", name: "storefront" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["storefront"] } }, {}, signal));
  const proxies: TestProxy[] = [];
  for (const id of ids) proxies.push(await join(await planes.clusterToken("shop-eu", { kind: "workload", namespace: "web", serviceAccount: id }), id));
  await writeAt(planes, 1_000);
  await eventually("all proxies have it", () => proxies.every((proxy) => toldMsOf(proxy) === 1_000));
  return { planes, plane, context, proxies };
}

async function writeAt(planes: InProcessPlanes, requestMs: number): Promise<void> {
  await planes.at(undefined, async (admin) => await admin.apply(policy(requestMs), {}, signal));
}

async function trialsAt(planes: InProcessPlanes): Promise<readonly PolicyTrial[]> {
  const { body } = await planes.at("shop-eu", async (admin) => await admin.call(clusterRoutes.status, {}, signal));
  return body.policyTrials ?? [];
}

async function stoppedAt(planes: InProcessPlanes): Promise<readonly PolicyTrial[]> {
  return await eventually("it is stopped", async () => {
    const trials = await trialsAt(planes);
    return trials.some(({ state }) => state === "stopped") && trials;
  });
}

function toldMsOf(proxy: TestProxy): number | undefined {
  return proxy.service("storefront.web.svc.shop.example")?.policy.timeouts.requestMs;
}
