import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProvider } from "../../terraform/build-provider.ts";
import { findTerraform, TerraformRun } from "../harness/terraform.ts";
import { home } from "../harness/test-federation.ts";

const program = findTerraform();
const modules = join(home, "terraform", "modules");
const tested = readdirSync(modules).filter((name) => readdirSync(join(modules, name)).includes("tests"));

describe.skipIf(program === undefined)("the tests that are shipped with Terraform's modules", () => {
  const mirror = mkdtempSync(join(tmpdir(), "atoll-mirror-"));
  let run: TerraformRun;

  beforeAll(async () => {
    await buildProvider(mirror);
    run = new TerraformRun(program ?? "", mirror, {});
    // Copies, so that nothing of a run stays among the sources; beside each other as they are there.
    for (const path of ["terraform/modules", "infra/example"]) cpSync(join(home, path), join(run.directory, path), { recursive: true, filter: (source) => !source.includes("/.terraform") });
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
});
