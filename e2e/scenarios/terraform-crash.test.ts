import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProvider } from "../../terraform/build-provider.ts";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { AdminClient } from "#federation/admin-api/client.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { initFederation } from "#services/global/federation-keys.ts";
import { eventually } from "../harness/eventually.ts";
import { findTerraform, TerraformRun } from "../harness/terraform.ts";

const program = findTerraform();
const { signal } = new AbortController();
const home = join(import.meta.dirname, "..", "..");
const regions = 120;
const withinMs = 60_000;

const configuration = `terraform {
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}

resource "atoll_region" "all" {
  for_each     = toset([for n in range(${regions}) : "r\${n}"])
  name         = each.key
  display_name = "Region \${each.key}"
}
`;

describe.skipIf(program === undefined)("an apply whose global plane is killed in the middle", () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-crash-"));
  const dataDir = join(directory, "global");
  const ready = join(dataDir, "ready.json");
  let plane: ChildProcess;

  const start = async (): Promise<void> => {
    rmSync(ready, { force: true });
    plane = spawn(process.execPath, [join(home, "services", "global", "main.ts"), "run", "--config", join(directory, "global.json")], { stdio: "ignore" });
    await eventually("the global plane serves", () => (existsSync(ready) ? true : undefined), withinMs);
  };
  const kill = async (): Promise<void> => {
    plane.kill("SIGKILL");
    await once(plane, "exit");
  };
  const connect = (): AdminClient => new AdminClient({ context: parseAdminContext(readFileSync(join(dataDir, "admin-context.json"), "utf8")) });
  const present = async (): Promise<readonly string[]> => {
    using admin = connect();
    return (await admin.list("Region", {}, signal)).map(({ metadata }) => metadata.name);
  };

  beforeAll(async () => {
    await buildProvider(join(directory, "mirror"));
    initFederation(dataDir, "demo.atoll", systemClock.nowMs());
    // The plane comes back on its port, which has to be known beforehand.
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    const config = { federation: "demo.atoll", dataDir, listen: { apiPort: port, joinPort: 0, metricsPort: 0 }, bus: { kind: "socket", path: join(directory, "bus.sock") } };
    writeFileSync(join(directory, "global.json"), JSON.stringify(config));
    writeFileSync(join(directory, "context.json"), JSON.stringify({ admin: join(dataDir, "admin-context.json"), planes: {} }));
    await start();
  });

  afterAll(async () => {
    if (plane.exitCode === null && plane.signalCode === null) await kill();
    rmSync(directory, { recursive: true });
  });

  it("is finished by the next one, with nothing doubled and nothing left after a destroy", async () => {
    using run = new TerraformRun(program ?? "", join(directory, "mirror"), { ATOLL_CONTEXT: join(directory, "context.json") });
    run.write("main.tf", configuration);
    await run.init();
    const interrupted = run.run("apply", "-json", "-auto-approve", "-input=false", "-parallelism=1");
    await eventually("some regions are there", async () => ((await present()).length >= 3 ? true : undefined), withinMs);
    await kill();
    const { code, diagnostics } = await interrupted;
    expect(code).toBe(1);
    expect(diagnostics.filter(({ severity }) => severity === "error").length).toBeGreaterThan(0);
    await start();
    expect((await present()).length).toBeLessThan(regions);
    await run.apply();
    expect((await present()).length).toBe(regions);
    expect(await run.plannedChanges()).toEqual([]);
    using admin = connect();
    expect((await admin.list("Region", {}, signal)).map(({ metadata }) => metadata.generation)).toEqual(Array.from({ length: regions }, () => 1));
    await run.mustRun("destroy", "-auto-approve", "-input=false", "-no-color");
    expect(await present()).toEqual([]);
  });
});
