import { systemClock } from "#federation/runtime/clock.ts";
import type { PlannedChanges } from "../harness/terraform.ts";
import { eventually } from "../harness/eventually.ts";
import type { RunLine } from "./run-line.ts";
import { lostRegion, type Drift, type RunTarget } from "./run-target.ts";

const answerWithinMs = 60_000;

/** Who watches a run; told what is done next and what came of it, in sentences. */
export type OnProgress = (sentence: string) => void;

/** The example from nothing to nothing. `signal` is looked at between the steps: a step of Terraform is not left half done. */
export async function measureRun(target: RunTarget, onProgress: OnProgress, signal: AbortSignal): Promise<Omit<RunLine, "target">> {
  const { example } = target;
  onProgress("terraform apply");
  const { ms: applyMs } = await timed(() => example.apply());
  const { ms: firstCrossRegionRequestMs } = await timed(() => untilStockAnswers(target));
  onProgress(`  applied in ${seconds(applyMs)}; a request was answered by another region ${firstCrossRegionRequestMs} ms later`);
  signal.throwIfAborted();

  const resources = (await example.resources()).length;
  const planAfterApplyChanges = countOf(await example.plan());
  onProgress(`  ${resources} resources; a plan has ${planAfterApplyChanges} changes`);
  signal.throwIfAborted();

  const drifts = [];
  for (const drift of target.drifts) {
    onProgress(`by hand: ${drift.name}`);
    drifts.push(await driftAndRepair(target, drift));
    signal.throwIfAborted();
  }

  onProgress(`all of ${lostRegion} is killed while users call`);
  const loss = await target.loseRegion();
  onProgress(`  ${loss.killed.length} killed; users were served elsewhere after ${loss.shiftMs} ms, and as before ${seconds(loss.recoverMs ?? 0)} after the apply began`);
  onProgress(`  ${loss.requests} requests, ${loss.failed} failed, ${loss.failedIdempotentOutsideShift} of them repeatable and outside of the shift; ${loss.restarted.length} of what was not killed was restarted`);
  signal.throwIfAborted();

  onProgress("terraform destroy");
  const left = await target.destroy();
  for (const name of left) onProgress(`  left: ${name}`);
  return {
    resources,
    applyMs,
    firstCrossRegionRequestMs,
    planAfterApplyChanges,
    driftFound: drifts.every(({ isFound }) => isFound),
    driftRepaired: drifts.every(({ isRepaired }) => isRepaired),
    failedIdempotent: loss.failedIdempotentOutsideShift,
    leftAfterDestroy: left.length,
  };
}

async function driftAndRepair(target: RunTarget, { happen, planned }: Drift): Promise<{ readonly isFound: boolean; readonly isRepaired: boolean }> {
  await happen();
  const { resources } = await target.example.plan();
  await target.example.apply();
  await untilStockAnswers(target);
  return { isFound: resources.join() === planned, isRepaired: countOf(await target.example.plan()) === 0 };
}

async function untilStockAnswers(target: RunTarget): Promise<void> {
  await eventually(`the stock of ${lostRegion} answers`, async () => (await target.storefront("/stock")) === lostRegion, answerWithinMs);
}

function countOf({ resources, outputs }: PlannedChanges): number {
  return resources.length + outputs.length;
}

async function timed(work: () => Promise<unknown>): Promise<{ readonly ms: number }> {
  const startMs = systemClock.monotonicMs();
  await work();
  return { ms: Math.round(systemClock.monotonicMs() - startMs) };
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
