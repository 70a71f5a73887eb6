import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RolloutAnswer, RolloutQuery } from "#federation/admin-api/rollout-route.ts";
import { rolloutRoute, rolloutWaitSecondsMax } from "#federation/admin-api/rollout-route.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type TrafficPolicy } from "#federation/model/resource.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes } from "./in-process-planes.ts";

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

  const rollout = async (query: RolloutQuery = {}, where?: string): Promise<RolloutAnswer> => {
    using admin = planes.admin(where);
    return (await admin.call(rolloutRoute("TrafficPolicy"), { params: path, query }, signal)).body;
  };
  const write = async (requestMs: number): Promise<number> => {
    using admin = planes.admin();
    return (await admin.apply(policy(requestMs), {}, signal)).resource.metadata.revision ?? 0;
  };
  const stateOf = (answer: RolloutAnswer, name: string): string | undefined => answer.targets.find((target) => target.name === name)?.state;
  /** Asks until the rollout is done, as a client does: each question waits, and says what was seen last. */
  const done = async (query: RolloutQuery, where?: string): Promise<RolloutAnswer> => {
    let last: RolloutAnswer | undefined;
    return await eventually("the rollout is done", async () => {
      last = await rollout({ ...query, wait: 5, ...(last === undefined ? {} : { seen: last.state }) }, where);
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
    await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
  }, 60_000);

  afterAll(async () => {
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
});
