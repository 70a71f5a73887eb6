import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { linkSubjects } from "#federation/replication/shell/run-publisher.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, exported, shop, shopCluster } from "./shop-resources.ts";

const { signal } = new AbortController();
const subjects = linkSubjects("up", "shop-eu");

describe("answers that are lost between planes in one process", () => {
  let planes: InProcessPlanes;
  let global: RunningPlane;

  const partsLost = async (): Promise<number> => Number(/^atoll_replication_parts_lost_total\{publisher="shop-eu",plane="global"\} (\d+)$/m.exec(await global.metrics())?.[1]);
  const exportsKnown = async (): Promise<number> => (await planes.at(undefined, (admin) => admin.call(globalRoutes.status, {}, signal))).body.services.length;

  beforeAll(async () => {
    planes = await InProcessPlanes.create();
    global = await planes.startGlobal();
    await planes.at(undefined, (admin) => applyAll(admin, [euWest, shopCluster("shop-eu")]));
    await planes.startCluster("shop-eu", { signer: shop });
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("catalog")));
    await eventually("its export is known", async () => (await exportsKnown()) === 1);
  }, 90_000);

  afterAll(async () => await planes[Symbol.asyncDispose](), 30_000);

  it("are counted by whoever asked for them, each, and asked for anew", async () => {
    const before = await partsLost();
    let questionsLost = 0;
    planes.hub.faults = ({ subject }) => {
      // What says nothing by itself has to be asked for.
      if (subject === subjects.frame) return [];
      if (subject === subjects.fetch && questionsLost < 1) {
        questionsLost++;
        return [];
      }
      return [0];
    };
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("cart")));
    await eventually("the export is known all the same", async () => (await exportsKnown()) === 2, 60_000);
    expect(questionsLost).toBe(1);
    // A host that has no time may lose one more.
    expect(await partsLost()).toBeGreaterThanOrEqual(before + 1);
  }, 90_000);
});
