import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.ts";
import { findTerraform } from "../harness/terraform.ts";
import { loseRegion } from "../terraform-run/region-loss.ts";
import { ThreeRegions } from "../terraform-run/three-regions.ts";

const program = findTerraform();

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(program === undefined)("the example of three regions", () => {
  let example: ThreeRegions;
  const stockComesFrom = (region: string): Promise<unknown> => eventually(`the stock of ${region} answers`, async () => (await example.storefront("/stock")) === region);

  beforeAll(async () => {
    example = await ThreeRegions.open(program ?? "");
  });

  afterAll(async () => {
    await example[Symbol.asyncDispose]();
  });

  it("is up after one apply, with a policy that the planes which it started have taken, and plans nothing afterwards", async () => {
    expect((await example.apply()).match(/= "connected"/g)).toHaveLength(3);
    expect(await example.plan()).toEqual({ resources: [], outputs: [] });
  });

  it("carries a request to another region, and to the next one when the first is evacuated", async () => {
    await stockComesFrom("us-east");
    await example.apply('-var=stock_order=["ap-south","us-east"]');
    await stockComesFrom("ap-south");
    await example.apply();
    await stockComesFrom("us-east");
  });

  it("loses a region without failing a repeatable request, and has it back by the next apply, which restarts nobody else", async () => {
    const { killed, planned, restarted, score } = await loseRegion(example, "us-east");
    expect(killed).toEqual(expect.arrayContaining(["us-east-plane", "us-east-gateway", "us-east-storefront-app"]));
    expect(planned).toEqual(["module.federation.atoll_local_unit.processes: create"]);
    expect(restarted).toEqual([]);
    expect(score).toMatchObject({ failedIdempotentOutsideShift: 0, recoverMs: expect.any(Number) as number });
    expect(score.requests).toBeGreaterThan(100);
    expect(await example.plan()).toEqual({ resources: [], outputs: [] });
  });

  it("is found missing when somebody has ended it, and started again by the next apply", async () => {
    expect(await example.atoll("down")).toMatchObject({ code: 0 });
    expect(example.processes()).toEqual([]);
    expect((await example.plan()).resources).toEqual(["module.federation.atoll_local_unit.processes: create"]);
    await example.apply();
    expect(await example.plan()).toEqual({ resources: [], outputs: [] });
    await stockComesFrom("us-east");
  });

  it("leaves nothing when it is destroyed", async () => {
    expect(example.processes().length).toBeGreaterThan(15);
    expect(await example.destroy()).toEqual([]);
    expect(existsSync(example.directory)).toBe(false);
  });
});
