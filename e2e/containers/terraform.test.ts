import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.ts";
import { findTerraform } from "../harness/terraform.ts";
import { DockerTarget } from "../terraform-run/docker-target.ts";
import { lostRegion } from "../terraform-run/run-target.ts";
import { findCompose, findContainerEngine } from "./container-engine.ts";

const { client, leftOut: noEngine } = await findContainerEngine();
const compose = await findCompose();
const program = findTerraform();
const leftOut = client === undefined ? noEngine : program === undefined ? " (left out: there is no terraform)" : compose.leftOut;
const nothing = { resources: [], outputs: [] };
const region = `module.region["${lostRegion}"]`;

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(client === undefined || program === undefined || compose.words.length === 0)(`the Terraform example of three regions in containers${leftOut}`, () => {
  let target: DockerTarget;
  const stockComesFrom = (wanted: string): Promise<unknown> => eventually(`the stock of ${wanted} answers`, async () => (await target.storefront("/stock")) === wanted, 60_000);

  beforeAll(async () => {
    target = await DockerTarget.open(program ?? "");
  }, 1_800_000);

  afterAll(async () => {
    await target[Symbol.asyncDispose]();
  }, 180_000);

  it("is up after one apply, with a policy of its planes, carries a request to another region, and plans nothing afterwards", async () => {
    expect((await target.example.apply()).match(/= "connected"/g)).toHaveLength(3);
    await stockComesFrom(lostRegion);
    expect(await target.example.plan()).toEqual(nothing);
  });

  it("is found short of what somebody has removed by hand, and has it again by the next apply", async () => {
    for (const { name, happen, planned } of target.drifts) {
      await happen();
      expect((await target.example.plan()).resources, name).toEqual([planned]);
      await target.example.apply();
      expect(await target.example.plan(), name).toEqual(nothing);
      await stockComesFrom(lostRegion);
    }
  });

  it("loses a region without failing a repeatable request, and has it back by the next apply, which restarts nobody else", async () => {
    const { killed, planned, restarted, ...seen } = await target.loseRegion();
    expect(killed).toEqual(expect.arrayContaining([lostRegion, `${lostRegion}.etcd`, `${lostRegion}.${lostRegion}-plane`, `${lostRegion}.${lostRegion}-stock-app`]));
    expect(planned).toEqual([`${region}.atoll_local_unit.region[0]: create`]);
    expect(restarted).toEqual([]);
    expect(seen).toMatchObject({ failedIdempotentOutsideShift: 0, shiftMs: expect.any(Number) as number });
    expect(seen.requests).toBeGreaterThan(100);
  });

  it("takes one region away with its volumes while the others serve, and starts it anew", async () => {
    await target.example.destroy(`-target=${region}`);
    expect((await target.containers()).filter(({ service }) => service === lostRegion || service.startsWith(`${lostRegion}.`))).toEqual([]);
    await stockComesFrom("ap-south");
    await target.example.apply();
    await stockComesFrom(lostRegion);
    expect(await target.example.plan()).toEqual(nothing);
  });

  it("leaves no container, network, volume or file when it is destroyed", async () => {
    expect((await target.containers()).length).toBeGreaterThan(25);
    expect(await target.destroy()).toEqual([]);
    expect(existsSync(target.example.directory)).toBe(false);
  });
});
