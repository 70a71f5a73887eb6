import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProvider } from "../../terraform/build-provider.ts";
import type { AccessConfig } from "#federation/admin-api/access-config.ts";
import { createTestIssuer, type TestIssuer } from "#federation/identity/jwt-fixture.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { InProcessPlanes } from "../harness/in-process-planes.ts";
import { findTerraform, TerraformRun, type TerraformResult } from "../harness/terraform.ts";

const program = findTerraform();
const { signal } = new AbortController();

/** What of an admin context every caller has. */
interface PlaneAddress {
  readonly server: string;
  readonly federation: string;
  readonly caPem: string;
}

const head = `terraform {
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}
`;
const region = (name: string, displayName: string): string => `resource "atoll_region" "r" {\n  name         = "${name}"\n  display_name = "${displayName}"\n}\n`;

describe.skipIf(program === undefined)("Terraform beside another one, and before planes that it cannot use", () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-conflicts-"));
  const mirror = join(directory, "mirror");
  const issuer = createTestIssuer();
  const access: AccessConfig = {
    bindings: [{ role: "administrator", subject: { claims: { repository: "shop/infra" } } }],
    tokens: { issuer: "https://ci.example", audience: "atoll", keysFile: join(directory, "keys.json") },
  };
  let planes: InProcessPlanes;
  let context: string;

  const open = async (at: string, ...files: readonly string[]): Promise<TerraformRun> => {
    const run = new TerraformRun(program ?? "", mirror, { ATOLL_CONTEXT: at });
    run.write("main.tf", [head, ...files].join(""));
    await run.init();
    return run;
  };
  /** Both have planned before either applies; then both apply at once. */
  const atOnce = async (...runs: readonly TerraformRun[]): Promise<readonly TerraformResult[]> => {
    for (const run of runs) await run.mustRun("plan", "-input=false", "-no-color", "-out=plan.bin");
    return await Promise.all(runs.map((run) => run.run("apply", "-json", "-input=false", "plan.bin")));
  };
  /** Where a token of `by` for the caller that the planes know lies. */
  const tokenFile = (by: TestIssuer): string => {
    const at = Math.floor(systemClock.nowMs() / 1_000);
    const path = join(directory, by === issuer ? "token" : "foreign-token");
    writeFileSync(path, by.sign({ iss: "https://ci.example", aud: "atoll", sub: "repo:shop/infra", repository: "shop/infra", iat: at, exp: at + 300 }));
    return path;
  };
  const displayName = async (name: string): Promise<string | undefined> => {
    using admin = planes.admin();
    return (await admin.get("Region", { name }, signal)).spec.displayName;
  };
  /** What an apply complains of whose context is the administrator's but for `change`, and what it leaves in its state. */
  const appliedBy = async (name: string, change: (admin: PlaneAddress) => object, more = ""): Promise<{ readonly complaints: TerraformResult["diagnostics"]; readonly kept: string }> => {
    const { admin } = JSON.parse(readFileSync(context, "utf8")) as { readonly admin: string };
    writeFileSync(join(directory, `${name}-admin.json`), JSON.stringify(change(JSON.parse(readFileSync(admin, "utf8")) as PlaneAddress)));
    writeFileSync(join(directory, `${name}.json`), JSON.stringify({ admin: `${name}-admin.json`, planes: {} }));
    using run = await open(join(directory, `${name}.json`), more, region("one-more", "One more"));
    const { diagnostics } = await run.run("apply", "-json", "-auto-approve", "-input=false");
    return { complaints: diagnostics, kept: (await run.mustRun("state", "list")).out };
  };
  const byToken =
    (file: string) =>
    ({ server, federation, caPem }: PlaneAddress): object => ({ server, federation, caPem, tokenFile: file });

  beforeAll(async () => {
    await buildProvider(mirror);
    writeFileSync(join(directory, "keys.json"), issuer.jwks);
    planes = await InProcessPlanes.create();
    await planes.startGlobal(access);
    context = planes.writePlaneFile([], {});
  });

  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  it("lets one of two applies make a name, and says to the other whose it is", async () => {
    using one = await open(context, region("contested", "One's"));
    using other = await open(context, region("contested", "The other's"));
    const results = await atOnce(one, other);
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    const [winner, loser] = results[0]?.code === 0 ? [one, other] : [other, one];
    expect(results.flatMap(({ diagnostics }) => diagnostics)).toMatchObject([{ severity: "error", detail: expect.stringContaining("terraform import ADDRESS contested") as string }]);
    expect(await displayName("contested")).toBe(winner === one ? "One's" : "The other's");
    expect((await loser.mustRun("state", "list")).out).toBe("");
    expect(await winner.plannedChanges()).toEqual([]);
  });

  it("lets one of two applies change what both have planned to, and the other once it has planned anew", async () => {
    using one = await open(context, region("shared", "Both's"));
    await one.apply();
    using other = await open(context, region("shared", "Both's"));
    await other.mustRun("import", "-input=false", "-no-color", "atoll_region.r", "shared");
    expect(await other.plannedChanges()).toEqual([]);
    one.write("main.tf", head + region("shared", "One's"));
    other.write("main.tf", head + region("shared", "The other's"));
    const results = await atOnce(one, other);
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    expect(results.flatMap(({ diagnostics }) => diagnostics)).toMatchObject([{ severity: "error", detail: expect.stringContaining("was changed by somebody else since it was read") as string }]);
    const [winner, loser, loserSays] = results[0]?.code === 0 ? [one, other, "The other's"] : [other, one, "One's"];
    expect(await winner.plannedChanges()).toEqual([]);
    expect(await loser.plannedChanges()).toEqual(["atoll_region.r: update"]);
    await loser.apply();
    expect(await displayName("shared")).toBe(loserSays);
    expect(await winner.plannedChanges()).toEqual(["atoll_region.r: update"]);
  });

  it.each([
    ["a token of another issuer", "wrong-token", () => byToken(tokenFile(createTestIssuer())), "ATOLL_ADMIN_UNAUTHENTICATED"],
    ["a token that nobody has put there", "no-token", () => byToken(join(directory, "nowhere")), "ATOLL_CONFIG_INVALID"],
    ["a plane that nobody runs", "unreachable", () => (admin: object) => ({ ...admin, server: "127.0.0.1:1" }), "ATOLL_ADMIN_UNAVAILABLE"],
    ["a plane whose name does not resolve", "unresolved", () => (admin: object) => ({ ...admin, server: "plane.invalid:7400" }), "ATOLL_ADMIN_UNAVAILABLE"],
  ])("says of %s one thing, at the resource that needed the plane, and leaves no half-written state", async (_what, name, change, code) => {
    const { complaints, kept } = await appliedBy(name, change());
    expect(complaints).toMatchObject([{ severity: "error", where: 'resource "atoll_region" "r" {', detail: expect.stringContaining(`(${code})`) as string }]);
    expect(kept).toBe("");
    using admin = planes.admin();
    expect((await admin.list("Region", {}, signal)).map(({ metadata }) => metadata.name)).not.toContain("one-more");
  });

  it("waits for a plane that is silent no longer than it may, and says so once", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const { complaints, kept } = await appliedBy("silent", (admin) => ({ ...admin, server: `127.0.0.1:${port}` }), 'provider "atoll" {\n  timeout_seconds = 1\n}\n');
    silent.close();
    expect(complaints).toMatchObject([{ severity: "error", where: 'resource "atoll_region" "r" {', detail: expect.stringContaining("(ATOLL_TIMEOUT)") as string }]);
    expect(kept).toBe("");
  });

  it("says of an image that is missing one thing, at the program that wanted it, and leaves no half-started unit", async () => {
    const script = '[ "$1" = stop ] || { echo "Error: No such image: atoll:none" >&2; exit 1; }';
    using run = await open(context, `resource "atoll_local_unit" "u" {\n  name    = "one"\n  program = ["sh", "-c", ${JSON.stringify(script)}, "unit"]\n}\n`);
    const { diagnostics } = await run.run("apply", "-json", "-auto-approve", "-input=false");
    expect(diagnostics).toMatchObject([{ severity: "error", where: expect.stringMatching(/^program = /) as string, detail: expect.stringContaining("No such image: atoll:none") as string }]);
    expect((await run.mustRun("state", "list")).out).toBe("");
  });

  it("takes a token of the configured issuer", async () => {
    expect(await appliedBy("token", byToken(tokenFile(issuer)))).toEqual({ complaints: [], kept: "atoll_region.r\n" });
  });
});
