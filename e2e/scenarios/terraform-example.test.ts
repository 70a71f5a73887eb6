import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFederationFile } from "#services/cli/up/federation-file.ts";
import { livingProcesses } from "#services/cli/up/running.ts";
import { buildProvider } from "../../terraform/build-provider.ts";
import { eventually } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { findTerraform, TerraformRun } from "../harness/terraform.ts";
import { home, Place } from "../harness/test-federation.ts";

const program = findTerraform();
const at = "-chdir=terraform/examples/three-regions";

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(program === undefined)("the example of three regions", () => {
  const mirror = mkdtempSync(join(tmpdir(), "atoll-mirror-"));
  // Its directory holds a control socket, whose path is short on some systems.
  const directory = join(realpathSync(mkdtempSync(join(tmpdir(), "atoll-tf-"))), "f");
  const dataDir = join(directory, "data");
  const place = new Place();
  let run: TerraformRun;

  const options = ["-input=false", "-no-color", `-var=directory=${directory}`, `-var=name=${place.name}`];
  const portOf = (name: string): number => readFederationFile(dataDir)?.ports[name] ?? 0;
  const askFor = async (path: string): Promise<string> => (await call(portOf("eu-west-storefront.app"), { host: "storefront", path })).body.trim();
  const plan = async (): Promise<string> => (await run.mustRun(at, "plan", ...options)).out;

  beforeAll(async () => {
    await buildProvider(mirror);
    run = new TerraformRun(program ?? "", mirror, {});
    for (const folder of ["terraform/modules", "terraform/examples"]) cpSync(join(home, folder), join(run.directory, folder), { recursive: true, filter: (source) => !/\.terraform|tfstate/.test(source) });
    // The modules are part of an installation: that of this working tree.
    for (const name of ["bin", "node_modules"]) symlinkSync(join(home, name), join(run.directory, name));
    await run.mustRun(at, "init", "-input=false", "-no-color");
  });

  afterAll(async () => {
    if (existsSync(dataDir)) await run.run(at, "destroy", "-auto-approve", ...options);
    run[Symbol.dispose]();
    place[Symbol.dispose]();
    for (const path of [mirror, join(directory, "..")]) rmSync(path, { recursive: true, force: true });
  });

  it("is up after one apply, with a policy that the planes which it started have taken, and plans nothing afterwards", async () => {
    const { out } = await run.mustRun(at, "apply", "-auto-approve", ...options);
    expect(out.match(/= "connected"/g)).toHaveLength(3);
    expect(await plan()).toContain("No changes.");
  });

  it("carries a request to another region, and to the next one when the first is evacuated", async () => {
    await eventually("the stock of us-east answers", async () => (await askFor("/stock")) === "us-east");
    const evacuated = [...options, '-var=stock_order=["ap-south","us-east"]'];
    await run.mustRun(at, "apply", "-auto-approve", ...evacuated);
    await eventually("the stock of ap-south answers", async () => (await askFor("/stock")) === "ap-south");
    await run.mustRun(at, "apply", "-auto-approve", ...options);
    await eventually("the stock of us-east answers again", async () => (await askFor("/stock")) === "us-east");
  });

  it("is found missing when somebody has ended it, and started again by the next apply", async () => {
    await place.atollWithin({ timeout: 120_000 }, "--data", dataDir, "down");
    expect(livingProcesses(dataDir)).toEqual([]);
    expect(await plan()).toMatch(/processes will be created[\s\S]*Plan: 1 to add, 0 to change, 0 to destroy/);
    await run.mustRun(at, "apply", "-auto-approve", ...options);
    expect(await plan()).toContain("No changes.");
    await eventually("the stock of us-east answers", async () => (await askFor("/stock")) === "us-east");
  });

  it("leaves nothing when it is destroyed", async () => {
    const processes = livingProcesses(dataDir);
    expect(processes.length).toBeGreaterThan(15);
    await run.mustRun(at, "destroy", "-auto-approve", ...options);
    expect(existsSync(directory)).toBe(false);
    expect((await run.mustRun(at, "state", "list")).out).toBe("");
  });
});
