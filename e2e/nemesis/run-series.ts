import { describeError } from "#federation/runtime/errors.ts";
import { planFaults, type PlanOptions } from "./fault-plan.ts";
import { lineOf, type NemesisLine } from "./nemesis-line.ts";
import { runFaults, type RunResult } from "./run-faults.ts";
import { World } from "./world.ts";

export interface SeriesOptions extends PlanOptions {
  readonly runs: number;
  readonly seed: number;
  /** As in `Scene`. */
  readonly proxies: number;
  readonly onProgress: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/** Runs that one federation is used for: what is written stays in it, and makes each look at it slower. */
const worldRunsMax = 5;

/** Runs one after the other; a federation in which something was found is not used again. */
export async function runSeries({ runs, seed, proxies, onProgress, signal, ...options }: SeriesOptions): Promise<NemesisLine> {
  const results: RunResult[] = [];
  let failed = 0;
  for (let done = 0; done < runs && !signal.aborted; ) {
    try {
      onProgress("a federation starts");
      await using world = await World.start(options.ground);
      for (let used = 0; used < worldRunsMax && done < runs; used++) {
        const plan = planFaults(seed + done++, options);
        onProgress(`seed ${plan.seed}`);
        const result = await runFaults(world, plan, { prefix: `run-${plan.seed}`, proxies, onProgress, signal });
        results.push(result);
        onProgress(describeResult(result));
        if (findingsOf(result).length > 0) break;
      }
    } catch (error) {
      if (signal.aborted) break;
      failed++;
      // A federation that could not be started has used up a run as well: nothing is tried for ever.
      if (results.length + failed > done) done++;
      onProgress(`  failed: ${describeError(error)}`);
    }
  }
  return lineOf(results, failed);
}

function describeResult(result: RunResult): string {
  const found = findingsOf(result);
  const facts = `${result.acknowledged} writes acknowledged, ${result.sightings} sightings, healed in ${(result.healMs / 1_000).toFixed(1)} s`;
  return found.length === 0 ? `  ${facts}` : [`  ${facts}; FOUND:`, ...found].join("\n    ");
}

/** A sentence for everything that must not be. */
function findingsOf({ violations, silent, stopped, unhealed }: RunResult): readonly string[] {
  return [...violations.map(({ kind, register, detail }) => `${kind} ${register}: ${detail}`), ...silent.map((what) => `silent: ${what}`), ...stopped.map((what) => `stopped: ${what}`), ...(unhealed === undefined ? [] : [`never healed: ${unhealed}`])];
}
