import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#federation/runtime/clock.ts";
import { buildProvider } from "../../terraform/build-provider.ts";
import { InProcessPlanes } from "../harness/in-process-planes.ts";
import { TerraformRun } from "../harness/terraform.ts";

/** What `npm run terraform -- --policies N` prints. Times in ms. */
export interface PoliciesLine {
  readonly policies: number;
  /** Of a plan that finds none of them. */
  readonly planMs: number;
  readonly applyMs: number;
  /** Of a plan that reads all of them anew at their plane. */
  readonly planAfterApplyMs: number;
  readonly planAfterApplyChanges: number;
}

/** Aim of every plan. */
const planMsMax = 10_000;

/** Every aim that was missed, in words. */
export function policyMissesOf(line: PoliciesLine): readonly string[] {
  const misses: string[] = [];
  for (const [what, ms] of [["the first plan", line.planMs], ["the plan after the apply", line.planAfterApplyMs]] as const) {
    if (ms >= planMsMax) misses.push(`${what} took ${(ms / 1_000).toFixed(1)} s, aim: under ${planMsMax / 1_000} s`);
  }
  if (line.planAfterApplyChanges > 0) misses.push(`a plan after the apply has ${line.planAfterApplyChanges} changes`);
  return misses;
}

/** A configuration with `count` policies as blocks of their own. Pure. */
export function policiesText(count: number): string {
  const policy = (at: number): string => `
resource "atoll_traffic_policy" "p${at}" {
  namespace  = "web"
  name       = "p${at}"
  target_ref = { namespace = "web", name = "s${at}", trust_domain = "shop.example" }
  timeouts   = { request_ms = ${1_000 + at} }
  retries    = { retries_max = 2, budget_ratio = 0.2, statuses = [502, 503] }
}
`;
  return `terraform {
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}
${Array.from({ length: count }, (_, at) => policy(at)).join("")}`;
}

/** Plans and applies `count` policies at a global plane of this process, and plans again. `program` is terraform. */
export async function measurePolicies(program: string, count: number, report: (step: string) => void): Promise<PoliciesLine> {
  const mirror = mkdtempSync(join(tmpdir(), "atoll-policies-"));
  try {
    await buildProvider(mirror);
    await using planes = await InProcessPlanes.create();
    await planes.startGlobal();
    using run = new TerraformRun(program, mirror, { ATOLL_CONTEXT: planes.writePlaneFile([], {}) });
    run.write("main.tf", policiesText(count));
    await run.init();
    const timed = async (...words: readonly string[]): Promise<number> => {
      report(`terraform ${words.join(" ")}`);
      const beganMs = systemClock.monotonicMs();
      await run.mustRun(...words);
      return Math.round(systemClock.monotonicMs() - beganMs);
    };
    const planMs = await timed("plan", "-input=false", "-no-color");
    const applyMs = await timed("apply", "-auto-approve", "-input=false", "-no-color");
    const planAfterApplyMs = await timed("plan", "-input=false", "-no-color");
    const { resources, outputs } = await run.plan({});
    return { policies: count, planMs, applyMs, planAfterApplyMs, planAfterApplyChanges: resources.length + outputs.length };
  } finally {
    rmSync(mirror, { recursive: true });
  }
}
