import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProvider } from "../../terraform/build-provider.ts";
import { installAwsSchemas } from "../harness/aws-schemas/install.ts";
import { findTerraform, TerraformRun } from "../harness/terraform.ts";
import { home, Place } from "../harness/test-federation.ts";

const program = findTerraform();
const modules = join(home, "terraform", "modules");
const tested = readdirSync(modules).filter((name) => readdirSync(join(modules, name)).includes("tests"));
const awsExample = "terraform/examples/aws";
const bootstrapWithinMs = 120_000;
/** Terraform starts the stand-in for AWS some forty times. */
const awsWithinMs = 600_000;

describe.skipIf(program === undefined)("the tests that are shipped with Terraform's modules", () => {
  const mirror = mkdtempSync(join(tmpdir(), "atoll-mirror-"));
  let run: TerraformRun;

  beforeAll(async () => {
    await buildProvider(mirror);
    installAwsSchemas(mirror);
    run = new TerraformRun(program ?? "", mirror, {});
    // Copies, so that nothing of a run stays among the sources; beside each other as they are there.
    for (const path of ["terraform/modules", "infra/example", awsExample]) cpSync(join(home, path), join(run.directory, path), { recursive: true, filter: (source) => !source.includes("/.terraform") && !source.startsWith(join(home, awsExample, "federation/")) });
  });

  afterAll(() => {
    run[Symbol.dispose]();
    rmSync(mirror, { recursive: true });
  });

  it("are there, and everything is formatted", async () => {
    expect(tested).toContain("machine");
    await run.mustRun("fmt", "-check", "-recursive", join(home, "terraform"));
  });

  it.each(tested)("pass for %s", async (name) => {
    const at = `-chdir=terraform/modules/${name}`;
    await run.mustRun(at, "init", "-input=false", "-no-color");
    const { out } = await run.mustRun(at, "test", "-no-color");
    expect(out).toMatch(/Success! \d+ passed, 0 failed\./);
  });

  it("pass for three regions of AWS, against the schemas of its provider and what bootstrap writes of the example's file", async () => {
    using place = new Place();
    const { code, stderr } = await place.atollWithin({ timeout: bootstrapWithinMs }, "bootstrap", join(home, awsExample, "federation.yaml"), "--out", join(run.directory, awsExample, "federation"), "--init");
    expect([code, stderr]).toEqual([0, ""]);
    const at = `-chdir=${awsExample}`;
    await run.mustRun(at, "init", "-input=false", "-no-color");
    await run.mustRun(at, "validate", "-no-color");
    const { out } = await run.mustRun(at, "test", "-no-color");
    expect(out).toMatch(/Success! \d+ passed, 0 failed\./);
    // What stands in for the provider knows what it does not have.
    run.write(`${awsExample}/wrong.tf`, 'resource "aws_lb" "wrong" {\n  provider = aws.eu\n  internall = true\n}\n');
    const { diagnostics } = await run.run(at, "validate", "-json");
    expect(diagnostics).toMatchObject([{ severity: "error", summary: "Unsupported argument", detail: expect.stringContaining('"internall"') as string }]);
  }, awsWithinMs);
});
