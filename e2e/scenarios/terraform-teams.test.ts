import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFederationFile } from "#services/cli/up/federation-file.ts";
import { buildProvider } from "../../terraform/build-provider.ts";
import { documentedOutputs, paragraphsNotIn } from "../harness/documented-outputs.ts";
import { eventually } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";
import { findTerraform, TerraformRun, type TerraformResult } from "../harness/terraform.ts";
import { home, Place } from "../harness/test-federation.ts";

const program = findTerraform();
const payments = "payments.core.svc.pay.example";
const ledger = "ledger.core.svc.pay.example";
const quiet = ["-input=false", "-no-color"];

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(program === undefined)("the example of two teams, each with a state and credentials of its own", () => {
  const mirror = mkdtempSync(join(tmpdir(), "atoll-mirror-"));
  // Its directory holds a control socket, whose path is short on some systems.
  const directory = join(realpathSync(mkdtempSync(join(tmpdir(), "atoll-tf-"))), "f");
  const dataDir = join(directory, "data");
  const place = new Place();
  let run: TerraformRun;
  /** What docs/terraform.md shows, beside what was printed in its place. */
  const [platformApplied = "", payApplied = "", refused = "", shopApplied = "", widened = "", ...others] = documentedOutputs("docs/terraform.md", "Two teams, two states");
  const asDocumented = (printed: string): string => printed.replaceAll(directory, "/tmp/teams-p").replaceAll(place.name, "two-teams");

  const at = (root: string): string => `-chdir=terraform/examples/two-teams/${root}`;
  const contextOf = (team: "shop" | "pay"): string => join(dataDir, "clients", `${team}-team.json`);
  const platform = async (command: string): Promise<TerraformResult> => await run.mustRun(at("platform"), command, "-auto-approve", ...quiet, `-var=directory=${directory}`, `-var=name=${place.name}`);
  const words = (team: "shop" | "pay", command: string, variables: readonly string[]): readonly string[] => [at(team), command, ...(command === "plan" ? [] : ["-auto-approve"]), ...quiet, `-var=context=${contextOf(team)}`, ...variables.map((one) => `-var=${one}`)];
  const mustDo = async (team: "shop" | "pay", command: string, ...variables: readonly string[]): Promise<string> => (await run.mustRun(...words(team, command, variables))).out;
  /** In the words of a terminal, documented paths and names in the place of ours. */
  const saidTo = async (team: "shop" | "pay", command: string, ...variables: readonly string[]): Promise<string> => asDocumented((await run.run(...words(team, command, variables))).out);
  const errorsOf = async (team: "shop" | "pay", command: string, ...variables: readonly string[]): Promise<TerraformResult["diagnostics"]> =>
    (await run.run(...words(team, command, variables), "-json")).diagnostics.filter(({ severity }) => severity === "error");
  const stateOf = async (team: "shop" | "pay"): Promise<string> => (await run.mustRun(at(team), "state", "list")).out;

  /** What the storefront of the team shop gets of a host of the team pay. */
  const asked = async (host: string): Promise<string> => {
    const { status, body } = await call(readFederationFile(dataDir)?.ports["shop-eu-storefront.app"] ?? 0, { host: "storefront", path: `/call/${host}` });
    return status === 200 ? body.trim() : String(status);
  };
  const answers = async (): Promise<void> => await eventually("payments answers the storefront", async () => (await asked(payments)) === "paid in us-east", 60_000).then(() => undefined);
  const isUnknown = async (): Promise<void> => await eventually("the storefront knows of no payments", async () => (await asked(payments)) === "404", 60_000).then(() => undefined);

  beforeAll(async () => {
    await buildProvider(mirror);
    run = new TerraformRun(program ?? "", mirror, {});
    for (const folder of ["terraform/modules", "terraform/examples"]) cpSync(join(home, folder), join(run.directory, folder), { recursive: true, filter: (source) => !/\.terraform|tfstate/.test(source) });
    // The modules are part of an installation: that of this working tree.
    for (const name of ["bin", "node_modules"]) symlinkSync(join(home, name), join(run.directory, name));
    for (const root of ["platform", "pay", "shop"]) await run.mustRun(at(root), "init", ...quiet);
    const { out } = await platform("apply");
    expect(paragraphsNotIn(asDocumented(out), platformApplied)).toEqual([]);
    expect(others).toEqual([]);
  });

  afterAll(async () => {
    if (existsSync(dataDir)) await run.run(at("platform"), "destroy", "-auto-approve", ...quiet, `-var=directory=${directory}`, `-var=name=${place.name}`);
    run[Symbol.dispose]();
    place[Symbol.dispose]();
    for (const path of [mirror, join(directory, "..")]) rmSync(path, { recursive: true, force: true });
  });

  it("stands on a platform that gives each team a context of its own, which nobody else may read", async () => {
    const { contexts } = JSON.parse((await run.mustRun(at("platform"), "output", "-json")).out) as { readonly contexts: { readonly value: unknown } };
    expect(contexts.value).toEqual({ "pay-team": contextOf("pay"), "shop-team": contextOf("shop") });
    for (const path of [contextOf("shop"), join(dataDir, "global", "clients", "shop-team.json")]) expect(statSync(path).mode & 0o077).toBe(0);
    await eventually("the storefront itself answers", async () => (await call(readFederationFile(dataDir)?.ports["shop-eu-storefront.app"] ?? 0, { host: "storefront" })).body.trim() === "welcome in eu-west", 60_000);
    expect(await asked(payments)).toBe("404");
  });

  it("lets nobody through on one team's word", async () => {
    expect(paragraphsNotIn(await mustDo("pay", "apply"), payApplied)).toEqual([]);
    expect(await mustDo("pay", "plan")).toContain("No changes.");
    await eventually("the signer of the other side has heard of the relationship", async () => (await place.atoll("--data", dataDir, "--name", place.name, "-o", "json", "get", "relationship", "checkout", "--cluster", "shop-eu")).stdout.includes('"callee"'), 60_000);
    expect(await asked(payments)).toBe("404");
  });

  it("refuses, with one sentence that says why, to let a team approve for the other, and leaves nothing in its state", async () => {
    const errors = await errorsOf("shop", "apply", "approve_as=pay.example");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.detail).toMatch(/client\/shop-team may not .*: that takes an administrator, or an operator of pay\.example in every namespace, and this caller is operator of trust domain shop\.example/);
    expect(paragraphsNotIn(await saidTo("shop", "apply", "approve_as=pay.example"), refused)).toEqual([]);
    expect(await stateOf("shop")).not.toContain("approval");
    expect(await asked(payments)).toBe("404");
  });

  it("carries requests once both have approved, of the one workload to the one service", async () => {
    expect(paragraphsNotIn(await mustDo("shop", "apply"), shopApplied)).toEqual([]);
    await answers();
    expect(await asked(ledger)).toBe("404");
    expect(await mustDo("shop", "plan")).toContain("No changes.");
    expect(await mustDo("pay", "plan")).toContain("No changes.");
  });

  it("goes on as it was agreed when one team proposes to let in more, says so to the other, and when that is taken back", async () => {
    await mustDo("pay", "apply", 'principals=["*"]');
    await answers();
    const errors = await errorsOf("shop", "plan");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.detail).toContain("checkout lets * of shop.example call, and ns/web/sa/storefront of shop.example was agreed.");
    expect(paragraphsNotIn(await saidTo("shop", "plan"), widened)).toEqual([]);
    await mustDo("pay", "apply");
    await answers();
  });

  it("ends when the caller's team takes its approval back, and begins again with it", async () => {
    await mustDo("shop", "destroy");
    await isUnknown();
    // What the other team does by itself brings nothing back.
    expect(await mustDo("pay", "apply")).toContain("0 added, 0 changed, 0 destroyed");
    expect(await asked(payments)).toBe("404");
    await mustDo("shop", "apply");
    await answers();
  });

  it("finds that an approval was taken back behind its state, and gives it anew", async () => {
    const withdrawn = await place.atoll("--data", dataDir, "relationship", "withdraw", "checkout", "--as", "pay.example");
    expect(withdrawn, withdrawn.stderr).toMatchObject({ code: 0 });
    expect(withdrawn.stdout).toContain("pay.example approves relationship checkout no longer");
    await isUnknown();
    expect(await mustDo("pay", "plan")).toContain("Plan: 1 to add, 0 to change, 0 to destroy.");
    await mustDo("pay", "apply");
    await answers();
  });

  it("ends when the callee's team takes everything back, after which the caller's team can destroy what it has approved", async () => {
    await mustDo("pay", "destroy");
    await isUnknown();
    // The signer's word stands, though what it was said of is gone; and there is nothing that could be approved now.
    const errors = await errorsOf("shop", "plan");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.detail).toContain("There is no relationship checkout: the other side has not declared it, or has taken it back.");
    expect(await mustDo("shop", "destroy")).toContain("Destroy complete! Resources: 1 destroyed.");
    for (const team of ["shop", "pay"] as const) expect(await stateOf(team)).toBe("");
  });

  it("does not begin again by itself when the same is declared once more", async () => {
    await mustDo("pay", "apply");
    const approvedBy = async (): Promise<readonly string[]> => {
      const { stdout } = await place.atoll("--data", dataDir, "--name", place.name, "-o", "json", "get", "relationship", "checkout", "--cluster", "shop-eu");
      const found = stdout.startsWith("{") ? (JSON.parse(stdout) as { readonly status?: { readonly approvals?: readonly { readonly side: string }[] } }) : {};
      return found.status?.approvals?.map(({ side }) => side) ?? [];
    };
    await eventually("the signer of the caller's side has heard of it", async () => (await approvedBy()).includes("callee"), 60_000);
    expect(await approvedBy()).toEqual(["callee"]);
    expect(await asked(payments)).toBe("404");
    await mustDo("pay", "destroy");
    await platform("destroy");
    expect(existsSync(directory)).toBe(false);
  });
});
