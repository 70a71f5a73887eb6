import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import { storeRoutes } from "#federation/admin-api/store-routes.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, exported, policy, shop, shopCluster } from "./shop-resources.ts";

const { signal } = new AbortController();

/** Heartbeats after which a new life of a plane is followed: the one before it might still speak for one and a half seconds. */
const followedAfter = 4;

describe("a machine that is put back to before its last start, over planes in one process", () => {
  let planes: InProcessPlanes;
  let global: RunningPlane;
  let shopUs: RunningPlane;

  const at = async <T>(where: string | undefined, act: (admin: AdminClient) => Promise<T>): Promise<T> => await planes.at(where, act);
  const names = async (where: string, kind: "ServiceImport" | "TrafficPolicy"): Promise<readonly string[]> => (await at(where, (admin) => admin.list(kind, {}, signal))).map(({ metadata }) => metadata.name).toSorted();

  /** Of each link of `publisher` no further heartbeat comes through than so many; answers whether they all have. */
  const hearFirst = (publisher: string): (() => boolean) => {
    const heard = new Map<string, number>();
    planes.hub.faults = ({ from, subject }) => {
      if (from !== publisher || !subject.endsWith(".heartbeat")) return [0];
      const count = heard.get(subject) ?? 0;
      if (count === followedAfter) return [];
      heard.set(subject, count + 1);
      return [0];
    };
    return () => heard.size > 0 && [...heard.values()].every((count) => count === followedAfter);
  };
  const hearAll = (): void => {
    planes.hub.faults = () => [0];
  };
  /** What `admin` answers, once its plane stands as it is going to. */
  const isShown = async (answer: () => Promise<{ readonly state: string; readonly reason?: string }>): Promise<void> => {
    await eventually("it is told by who had heard more", async () => {
      const said = await answer();
      if (said.state === "behind" && said.reason === "peer") return true;
      throw new Error(JSON.stringify(said));
    }, 60_000);
  };

  beforeAll(async () => {
    planes = await InProcessPlanes.create(undefined, { stores: "files" });
    global = await planes.startGlobal();
    await at(undefined, (admin) => applyAll(admin, [euWest, shopCluster("shop-eu"), shopCluster("shop-us")]));
    await planes.startCluster("shop-eu", { signer: shop });
    shopUs = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
  }, 90_000);

  afterAll(async () => await planes[Symbol.asyncDispose](), 30_000);

  it("is known by the first words of the life that it lost, though they came before all that was written in it: a cluster's", async () => {
    const role = { enrolsAt: "shop-eu" } as const;
    await at("shop-us", (admin) => applyAll(admin, exported("kept")));
    await eventually("the export is known", async () => (await names("shop-eu", "ServiceImport")).includes("kept.shop-us"));
    await shopUs.stop();
    await planes.copyDirectory("shop-us", "shop-us-before");
    const isFollowed = hearFirst("shop-us");
    const lost = await planes.startCluster("shop-us", role);
    await eventually("its first heartbeats are heard", isFollowed);
    await at("shop-us", (admin) => applyAll(admin, exported("lost")));
    await eventually("the export is known", async () => (await names("shop-eu", "ServiceImport")).includes("lost.shop-us"));
    await lost.stop();
    hearAll();
    const before = await planes.startCluster("shop-us", role, undefined, "shop-us-before");
    await isShown(async () => {
      using admin = planes.adminOfCopy("shop-us-before", "shop-us");
      return (await admin.call(storeRoutes.store, {}, signal)).body;
    });
    expect(await names("shop-eu", "ServiceImport")).toEqual(["kept.shop-us", "lost.shop-us"]);
    await before.stop();
  }, 180_000);

  it("is known by the first words of the life that it lost, though they came before all that was written in it: the global plane's", async () => {
    const policies = async (): Promise<readonly string[]> => await names("shop-eu", "TrafficPolicy");
    await at(undefined, (admin) => applyAll(admin, [policy("kept")]));
    await eventually("the policy is known", async () => (await policies()).includes("kept"));
    await global.stop();
    await planes.copyDirectory("global", "global-before");
    const isFollowed = hearFirst("global");
    const lost = await planes.startGlobal();
    await eventually("its first heartbeats are heard", isFollowed);
    await at(undefined, (admin) => applyAll(admin, [policy("lost")]));
    await eventually("the policy is known", async () => (await policies()).includes("lost"));
    await lost.stop();
    hearAll();
    const before = await planes.startGlobal(undefined, "global-before");
    await isShown(async () => {
      using admin = planes.adminOfCopy("global-before");
      return (await admin.call(storeRoutes.store, {}, signal)).body;
    });
    expect(await policies()).toEqual(["kept", "lost"]);
    await before.stop();
  }, 180_000);
});
