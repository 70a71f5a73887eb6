import { systemClock } from "#federation/runtime/clock.ts";
import type { PlannedChanges } from "../harness/terraform.ts";
import { eventually } from "../harness/eventually.ts";
import type { RunLine } from "./run-line.ts";
import { loseRegion } from "./region-loss.ts";
import type { ThreeRegions } from "./three-regions.ts";

const answerWithinMs = 60_000;
/** Whose stock is asked first. */
const lostRegion = "us-east";

/** Who watches a run; told what is done next and what came of it, in sentences. */
export type OnProgress = (sentence: string) => void;

/** The example from nothing to nothing. `signal` is looked at between the steps: a step of Terraform is not left half done. */
export async function measureRun(example: ThreeRegions, onProgress: OnProgress, signal: AbortSignal): Promise<Omit<RunLine, "target">> {
  onProgress("terraform apply");
  const { ms: applyMs } = await timed(() => example.apply());
  const { ms: firstCrossRegionRequestMs } = await timed(() => eventually(`the stock of ${lostRegion} answers`, async () => (await example.storefront("/stock")) === lostRegion, answerWithinMs));
  onProgress(`  applied in ${seconds(applyMs)}; a request was answered by another region ${firstCrossRegionRequestMs} ms later`);
  signal.throwIfAborted();

  const resources = (await example.resources()).length;
  const planAfterApplyChanges = countOf(await example.plan());
  onProgress(`  ${resources} resources; a plan has ${planAfterApplyChanges} changes`);
  signal.throwIfAborted();

  const drifts = [];
  for (const drift of driftsByHand) {
    onProgress(`by hand: atoll ${drift.words.join(" ")}`);
    drifts.push(await driftAndRepair(example, drift));
    signal.throwIfAborted();
  }

  onProgress(`every process of ${lostRegion} is killed while users call`);
  const { killed, restarted, score } = await loseRegion(example, lostRegion);
  onProgress(`  ${killed.length} processes; users were served elsewhere after ${score.shiftMs} ms and at home again ${seconds(score.recoverMs ?? 0)} after the apply began`);
  onProgress(`  ${score.requests} requests, ${score.failed} failed, ${score.failedIdempotentOutsideShift} of them repeatable and outside of the shift; ${restarted.length} processes of others were restarted`);
  signal.throwIfAborted();

  onProgress("terraform destroy");
  const left = await example.destroy();
  for (const name of left) onProgress(`  left: ${name}`);
  return {
    resources,
    applyMs,
    firstCrossRegionRequestMs,
    planAfterApplyChanges,
    driftFound: drifts.every(({ isFound }) => isFound),
    driftRepaired: drifts.every(({ isRepaired }) => isRepaired),
    failedIdempotent: score.failedIdempotentOutsideShift,
    leftAfterDestroy: left.length,
  };
}

interface Drift {
  /** What somebody does by hand: a command of `atoll`. */
  readonly words: readonly string[];
  /** All that a plan has to do about it. */
  readonly planned: string;
}

const driftsByHand: readonly Drift[] = [
  { words: ["delete", "TrafficPolicy", "web/stock"], planned: "atoll_traffic_policy.stock: create" },
  { words: ["down"], planned: "module.federation.atoll_local_unit.processes: create" },
];

async function driftAndRepair(example: ThreeRegions, { words, planned }: Drift): Promise<{ readonly isFound: boolean; readonly isRepaired: boolean }> {
  const { code, stderr } = await example.atoll(...words);
  if (code !== 0) throw new Error(`atoll ${words.join(" ")} ended with ${code}: ${stderr.trim()}`);
  const { resources } = await example.plan();
  await example.apply();
  await eventually(`the stock of ${lostRegion} answers`, async () => (await example.storefront("/stock")) === lostRegion, answerWithinMs);
  return { isFound: resources.join() === planned, isRepaired: countOf(await example.plan()) === 0 };
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
