import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RolloutAnswer, RolloutQuery } from "#federation/admin-api/rollout-route.ts";
import { rolloutRoute, rolloutWaitSecondsMax } from "#federation/admin-api/rollout-route.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import type { ResourcePath } from "#federation/admin-api/resource-path.ts";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { apiVersion, type Cluster, type Kind, type TrafficPolicy } from "#federation/model/resource.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { TestLink } from "./test-link.ts";
import { TestProxy } from "./test-proxy.ts";

const { signal } = new AbortController();

const shop = "shop.example" as TrustDomainName;

const cluster = (name: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name },
  spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces: ["web"], gateways: [] },
});
const policy = (requestMs: number): TrafficPolicy => ({
  apiVersion,
  kind: "TrafficPolicy",
  metadata: { namespace: "web", name: "slow" },
  spec: { targetRef: { namespace: "web", name: "storefront" }, timeouts: { requestMs } },
});
const path = { namespace: "web", name: "slow" };

describe("the rollout of a write, over planes in one process", () => {
  let planes: InProcessPlanes;

  let proxy: TestProxy;
  let shopUs: RunningPlane;

  const rollout = async (query: RolloutQuery = {}, where?: string, kind: Kind = "TrafficPolicy", params: ResourcePath = path): Promise<RolloutAnswer> => {
    using admin = planes.admin(where);
    return (await admin.call(rolloutRoute(kind), { params, query }, signal)).body;
  };
  const write = async (requestMs: number): Promise<number> => {
    using admin = planes.admin();
    return (await admin.apply(policy(requestMs), {}, signal)).resource.metadata.revision ?? 0;
  };
  const stateOf = (answer: RolloutAnswer, name: string): string | undefined => answer.targets.find((target) => target.name === name)?.state;
  /** Asks until the rollout is done, as a client does: each question waits, and says what was seen last. */
  const done = async (query: RolloutQuery, where?: string, kind?: Kind, params?: ResourcePath): Promise<RolloutAnswer> => {
    let last: RolloutAnswer | undefined;
    return await eventually("the rollout is done", async () => {
      last = await rollout({ ...query, wait: 5, ...(last === undefined ? {} : { seen: last.state }) }, where, kind, params);
      return last.done ? last : undefined;
    });
  };

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    await planes.startGlobal();
    {
      using admin = planes.admin();
      await admin.apply({ apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} }, {}, signal);
      for (const name of ["shop-eu", "shop-us"]) await admin.apply(cluster(name), {}, signal);
    }
    await planes.startCluster("shop-eu", { signer: shop });
    shopUs = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    proxy = await TestProxy.join(await planes.clusterToken("shop-us", { kind: "workload", namespace: "web", serviceAccount: "edge" }));
  }, 60_000);

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("is done when every cluster has acknowledged it", async () => {
    const revision = await write(1_000);
    const answer = await done({ revision });
    expect(answer).toMatchObject({ kind: "TrafficPolicy", id: "web/slow", generation: { revision }, counts: { done: 2, pending: 0, unreachable: 0, refused: 0 }, targetsLeftOut: 0 });
    expect(answer.targets.map(({ kind, name, state }) => [kind, name, state])).toEqual([["cluster", "shop-eu", "done"], ["cluster", "shop-us", "done"]]);
    // The form before it has arrived too, since a later one has.
    expect((await rollout({ revision: revision - 1 })).done).toBe(true);
  }, 40_000);

  it("names a cluster that is cut off, as pending and then as unreachable with how long, and is done when it is back", async () => {
    // What it acknowledged may be in before its first heartbeat is.
    await eventually("the cluster was heard", async () => (await rollout()).targets.find(({ name }) => name === "shop-us")?.heardAgeMs !== undefined);
    planes.hub.faults = ({ from, to }) => (from === "shop-us" || to === "shop-us" ? [] : [0]);
    const revision = await write(2_000);
    const reached = await eventually("the other cluster has it", async () => {
      const answer = await rollout({ revision, wait: 1 });
      return stateOf(answer, "shop-eu") === "done" ? answer : undefined;
    });
    expect(reached.done).toBe(false);
    expect(stateOf(reached, "shop-us")).not.toBe("done");
    const silent = await eventually("it counts as unreachable", async () => {
      const target = (await rollout({ revision, wait: 5, seen: reached.state })).targets.find(({ name }) => name === "shop-us");
      return target?.state === "unreachable" ? target : undefined;
    });
    expect(silent.heardAgeMs).toBeGreaterThan(3_000);
    planes.hub.faults = () => [0];
    expect(await done({ revision })).toMatchObject({ counts: { done: 2 } });
  }, 60_000);

  it("is done in a cluster when its connected proxies have acknowledged it", async () => {
    {
      using admin = planes.admin("shop-us");
      await admin.apply({ apiVersion, kind: "Service", metadata: { namespace: "web", name: "storefront" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["storefront"] } }, {}, signal);
    }
    const { generation } = await done({ revision: await write(3_000) });
    const answer = await done({ ...generation }, "shop-us");
    expect(answer.targets.map(({ kind, name, state }) => [kind, name, state])).toEqual([["plane", "shop-us", "done"], ["proxy", "test", "done"]]);
    expect(proxy.service("storefront.web.svc.shop.example")?.policy.timeouts.requestMs).toBe(3_000);
    // A form that nobody has written yet may be on its way: the cluster cannot know, and says that it has not got it.
    const next = await rollout({ epoch: generation?.epoch ?? 0, revision: (generation?.revision ?? 0) + 1 }, "shop-us");
    expect(next).toMatchObject({ done: false, counts: { done: 0, pending: 2 } });
  }, 40_000);

  it("of an export reaches the global plane, and says why when it offers nothing", async () => {
    const name = { namespace: "web", name: "storefront" };
    const hidden = { namespace: "inner", name: "ledger" };
    let revision = 0;
    {
      using admin = planes.admin("shop-us");
      revision = (await admin.apply({ apiVersion, kind: "ServiceExport", metadata: name, spec: {} }, {}, signal)).resource.metadata.revision ?? 0;
      await admin.apply({ apiVersion, kind: "Service", metadata: hidden, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["ledger"] } }, {}, signal);
      await admin.apply({ apiVersion, kind: "ServiceExport", metadata: hidden, spec: {} }, {}, signal);
    }
    expect((await done({ revision }, "shop-us", "ServiceExport", name)).targets).toContainEqual(expect.objectContaining({ kind: "global", state: "done" }));
    await done({}, "shop-us", "Service", hidden);
    const inVain = await eventually("the cluster has seen that it may not export it", async () => {
      const answer = await rollout({}, "shop-us", "ServiceExport", hidden);
      return answer.targets.some(({ reason }) => reason?.includes("exportNamespaces") === true) ? answer : undefined;
    });
    expect(inVain).toMatchObject({ done: false, counts: { pending: 1 } });
    {
      using admin = planes.admin("shop-us");
      await admin.remove("ServiceExport", name, {}, signal);
    }
    expect(await done({ deleted: true }, "shop-us", "ServiceExport", name)).toMatchObject({ id: "web/storefront", done: true });
  }, 40_000);

  it("is waited for by commands, which name whom it has not reached", async () => {
    const file = planes.writePlaneFile(["shop-eu", "shop-us"], {});
    const written = `${file}.policy.yaml`;
    writeFileSync(written, JSON.stringify(policy(4_000)));
    const applied = await planes.atoll(file, "apply", "-f", written, "--wait");
    expect(applied).toMatchObject({ code: 0, err: "" });
    expect(applied.out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["KIND", "NAME", "AT", "OUTCOME"],
      ["TrafficPolicy", "web/slow", "global", "applied"],
      ["RESOURCE", "CLUSTER", "STATE", "PROXIES", "DETAIL"],
      ["TrafficPolicy web/slow", "shop-eu", "done", "0 of 0"],
      ["TrafficPolicy web/slow", "shop-us", "done", "1 of 1"],
      [""],
    ]);
    planes.hub.faults = ({ from, to }) => (from === "shop-us" || to === "shop-us" ? [] : [0]);
    const revision = await write(5_000);
    const inVain = await planes.atoll(file, "-o", "json", "wait", "tp/web/slow", "--timeout", "5s");
    planes.hub.faults = () => [0];
    expect(inVain.code).toBe(1);
    expect(inVain.err).toMatch(/^error ATOLL_ROLLOUT_INCOMPLETE: after 5 s 1 of 2 clusters have TrafficPolicy web\/slow: shop-us: not heard for \d+ s\nWhat to do: /);
    expect(JSON.parse(inVain.out)).toMatchObject([{ kind: "TrafficPolicy", id: "web/slow", plane: "global", done: false, clusters: [{ cluster: "shop-eu", state: "done" }, { cluster: "shop-us", state: "unreachable" }] }]);
    await done({ revision });
    expect(await planes.atoll(file, "wait", "trafficpolicy/web/slow")).toMatchObject({ code: 0, err: "" });
    expect(await planes.atoll(file, "wait", "tp/web/none")).toMatchObject({ code: 1, err: expect.stringContaining("there is no TrafficPolicy web/none") as string });
  }, 60_000);

  it("is waited for after a deletion, whose command names who is not rid of it", async () => {
    const file = planes.writePlaneFile(["shop-eu", "shop-us"], {});
    const again = `${file}.policy.json`;
    writeFileSync(again, JSON.stringify(policy(4_000)));
    const deleted = await planes.atoll(file, "delete", "tp", "web/slow", "--wait");
    expect(deleted).toMatchObject({ code: 0, err: "" });
    expect(deleted.out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["TrafficPolicy web/slow deleted at global"],
      ["RESOURCE", "CLUSTER", "STATE", "PROXIES", "DETAIL"],
      ["TrafficPolicy web/slow", "shop-eu", "done", "0 of 0"],
      ["TrafficPolicy web/slow", "shop-us", "done", "1 of 1"],
      [""],
    ]);
    expect(await planes.atoll(file, "apply", "-f", again, "--wait")).toMatchObject({ code: 0, err: "" });
    planes.hub.faults = ({ from, to }) => (from === "shop-us" || to === "shop-us" ? [] : [0]);
    const inVain = await planes.atoll(file, "-o", "json", "delete", "tp", "web/slow", "--wait", "--timeout", "5s");
    planes.hub.faults = () => [0];
    expect(inVain.code).toBe(1);
    expect(inVain.err).toMatch(/^error ATOLL_ROLLOUT_INCOMPLETE: after 5 s 1 of 2 clusters are rid of TrafficPolicy web\/slow: shop-us: /);
    expect(JSON.parse(inVain.out)).toMatchObject([{ kind: "TrafficPolicy", id: "web/slow", plane: "global", outcome: "deleted", deleted: true, done: false, clusters: [{ cluster: "shop-eu", state: "done" }, { cluster: "shop-us" }] }]);
    expect(await planes.atoll(file, "wait", "tp/web/slow", "--deleted")).toMatchObject({ code: 0, err: "" });
    // The tests after this one go on with it.
    expect(await planes.atoll(file, "apply", "-f", again, "--wait")).toMatchObject({ code: 0, err: "" });
  }, 60_000);

  it("is asked about what there is, and about a deletion once there is nothing", async () => {
    await expect(rollout({ deleted: true })).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    await expect(rollout({ revision: 1_000_000 })).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    {
      using admin = planes.admin();
      await admin.remove("TrafficPolicy", path, {}, signal);
    }
    await expect(rollout()).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
    const gone = await done({ deleted: true });
    expect(gone.generation).toBeUndefined();
    expect(gone.counts).toMatchObject({ done: 2 });
  }, 40_000);

  it("refuses questions that make no sense, with the fault", async () => {
    await expect(rollout({ wait: rolloutWaitSecondsMax + 1 })).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await expect(rollout({ epoch: 1 })).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID", message: expect.stringContaining("revision") as string });
    await expect(rollout({ deleted: true, revision: 3 })).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
  }, 40_000);

  it("does not forget the proxies that a cluster's plane had a moment ago, and not those of the plane before it", async () => {
    const before = (await done({ revision: await write(6_000) })).generation;
    await using link = await TestLink.open("127.0.0.1", shopUs.ports["discovery"] ?? 0);
    const joined = await TestProxy.join(await planes.clusterToken("shop-us", { kind: "workload", namespace: "web", serviceAccount: "batch" }));
    const batch = await joined.moveTo(link.port);
    const counts = async (generation: RolloutAnswer["generation"]): Promise<RolloutAnswer["counts"]> => (await rollout({ ...generation }, "shop-us")).counts;
    await eventually("both proxies have it", async () => (await counts(before)).done === 3);
    link.cut();
    await eventually("its stream is gone", () => !batch.stats.connected);
    // It has the form that it had: what it does not have is the next one.
    expect(await counts(before)).toEqual({ done: 3, pending: 0, unreachable: 0, refused: 0 });
    const { generation } = await done({ revision: await write(7_000) });
    await eventually("the others have it", async () => (await counts(generation)).done === 2);
    const lost = await rollout({ ...generation }, "shop-us");
    expect(lost).toMatchObject({ done: false, counts: { done: 2, unreachable: 1 } });
    expect(lost.targets).toContainEqual(expect.objectContaining({ kind: "proxy", name: "test", state: "unreachable", heardAgeMs: expect.any(Number) as number }));
    expect(batch.service("storefront.web.svc.shop.example")?.policy.timeouts.requestMs).toBe(6_000);
    link.heal();
    expect(await done({ ...generation }, "shop-us")).toMatchObject({ counts: { done: 3, unreachable: 0 } });
    // One that ends in order takes its leave, and is missed by nobody.
    await batch[Symbol.asyncDispose]();
    expect(await counts(generation)).toEqual({ done: 2, pending: 0, unreachable: 0, refused: 0 });
    await shopUs.stop();
    shopUs = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    const fresh = await eventually("it has read what it knew", async () => {
      const answer = await rollout({ ...generation }, "shop-us");
      return answer.targets[0]?.reason === undefined ? undefined : answer;
    });
    expect(fresh.done).toBe(false);
    expect(fresh.targets[0]).toMatchObject({ kind: "plane", state: "pending", reason: expect.stringContaining("proxies may come back to it within") as string });
  }, 60_000);

  it("does not forget a proxy that is cut off because the cluster's plane starts again, nor does its status", async () => {
    await using link = await TestLink.open("127.0.0.1", shopUs.ports["discovery"] ?? 0);
    const joined = await TestProxy.join(await planes.clusterToken("shop-us", { kind: "gateway" }));
    await using gateway = await joined.moveTo(link.port);
    const rows = async (): Promise<ClusterStatus["proxies"]> => (await planes.at("shop-us", async (admin) => (await admin.call(clusterRoutes.status, {}, signal)).body)).proxies.filter(({ mode }) => mode === "gateway");
    const { generation } = await rollout();
    await eventually("the gateway is connected", async () => (await rows()).some(({ connected }) => connected));
    link.cut();
    await eventually("its stream is gone", async () => (await rows()).some(({ connected }) => !connected));
    await eventually("that is stored", async () => (await planes.copyStore("shop-us")).entries.some(({ key, value }) => key.includes("/proxies/") && Buffer.from(value).includes("silentSinceMs")));
    await shopUs.stop();
    shopUs = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    const [row] = await rows();
    expect(row).toMatchObject({ name: "test", connected: false, mode: "gateway", heardAgeMs: expect.any(Number) as number });
    expect((await rollout({ ...generation }, "shop-us")).targets).toContainEqual(expect.objectContaining({ kind: "proxy", name: "test", state: "unreachable" }));
    const listed = await planes.atoll(planes.writePlaneFile(["shop-us"], {}), "proxy", "status");
    expect(listed.out).toMatch(/^test +shop-us +gateway +NO +.+ ago +- /m);
    await using back = await gateway.moveTo(shopUs.ports["discovery"] ?? 0);
    await eventually("it is back", async () => back.stats.connected && (await rows()).every(({ connected }) => connected));
  }, 60_000);
});
