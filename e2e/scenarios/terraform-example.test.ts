import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { documentedOutputs, paragraphsNotIn } from "../harness/documented-outputs.ts";
import { eventually } from "../harness/eventually.ts";
import { findTerraform } from "../harness/terraform.ts";
import { ProcessesTarget } from "../terraform-run/processes-target.ts";
import type { ThreeRegions } from "../terraform-run/three-regions.ts";

const program = findTerraform();

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(program === undefined)("the example of three regions", () => {
  let target: ProcessesTarget;
  let example: ThreeRegions;
  const stockComesFrom = (region: string): Promise<unknown> => eventually(`the stock of ${region} answers`, async () => (await target.storefront("/stock")) === region);

  beforeAll(async () => {
    target = await ProcessesTarget.open(program ?? "");
    ({ example } = target);
  });

  afterAll(async () => {
    await target[Symbol.asyncDispose]();
  });

  it("is up after one apply, with a policy that the planes which it started have taken, and plans nothing afterwards", async () => {
    const printed = (await example.apply()).replaceAll(example.directory, "/tmp/three-p");
    expect(printed.match(/= "connected"/g)).toHaveLength(3);
    expect(documentedOutputs("docs/terraform.md", "From nothing to three regions").map((documented) => paragraphsNotIn(printed, documented))).toEqual([[]]);
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
    const { killed, planned, restarted, ...seen } = await target.loseRegion();
    expect(killed).toEqual(expect.arrayContaining(["us-east-plane", "us-east-gateway", "us-east-storefront-app"]));
    expect(planned).toEqual(["module.federation.atoll_local_unit.federation: create"]);
    expect(restarted).toEqual([]);
    expect(seen).toMatchObject({ failedIdempotentOutsideShift: 0, shiftMs: expect.any(Number) as number, recoverMs: expect.any(Number) as number });
    expect(seen.requests).toBeGreaterThan(100);
    expect(await example.plan()).toEqual({ resources: [], outputs: [] });
  });

  it("is found missing when somebody has ended it, and started again by the next apply", async () => {
    await example.atoll("--data", `${example.directory}/data`, "down");
    expect(target.processes()).toEqual([]);
    expect((await example.plan()).resources).toEqual(["module.federation.atoll_local_unit.federation: create"]);
    await example.apply();
    expect(await example.plan()).toEqual({ resources: [], outputs: [] });
    await stockComesFrom("us-east");
  });

  it("leaves nothing when it is destroyed", async () => {
    expect(target.processes().length).toBeGreaterThan(15);
    expect(await target.destroy()).toEqual([]);
    expect(existsSync(example.directory)).toBe(false);
  });
});
