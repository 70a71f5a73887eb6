import { describeError } from "#federation/runtime/errors.ts";
import { runSeed } from "./run-seed.ts";

/** A seed that went wrong. */
export interface FailedSeed {
  readonly seed: number;
  readonly violations: readonly string[];
}

/** What became of a row of seeds. */
export interface SeedsLine {
  readonly seeds: number;
  readonly steps: number;
  readonly failed: readonly FailedSeed[];
}

/** Runs `count` seeds from `first` on, one after the other, until `signal` aborts. */
export async function runSeeds(first: number, count: number, onFailed: (failed: FailedSeed) => void, signal: AbortSignal): Promise<SeedsLine> {
  const failed: FailedSeed[] = [];
  let steps = 0;
  let seeds = 0;
  for (let seed = first; seed < first + count && !signal.aborted; seed++) {
    const violations = await runSeed(seed).then(
      (result) => {
        steps += result.operations.length;
        return result.violations;
      },
      (error: unknown) => [`the simulation failed: ${describeError(error)}`],
    );
    seeds++;
    if (violations.length === 0) continue;
    failed.push({ seed, violations });
    onFailed({ seed, violations });
  }
  return { seeds, steps, failed };
}
