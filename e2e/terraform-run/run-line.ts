/** What `npm run terraform` prints. Times in ms. */
export interface RunLine {
  readonly target: string;
  /** How many the first apply made. */
  readonly resources: number;
  /** From nothing, with the provider built and initialized, to a federation whose every program is well. */
  readonly applyMs: number;
  /** From the end of the apply until another region's answer was there. */
  readonly firstCrossRegionRequestMs: number;
  /** Of resources and outputs. */
  readonly planAfterApplyChanges: number;
  /** A plan showed what had been taken away by hand, and nothing else. */
  readonly driftFound: boolean;
  /** The next apply put it back, and the plan after it was empty. */
  readonly driftRepaired: boolean;
  /** Repeatable requests of the users of all regions that failed while a region died and returned, but for those of the shift. */
  readonly failedIdempotent: number;
  /** Resources of the state, processes and files. */
  readonly leftAfterDestroy: number;
}

/** Every aim that the run missed, in words; empty when it passed. */
export function missesOf(line: RunLine): readonly string[] {
  const misses: string[] = [];
  if (line.applyMs >= applyMsMax) misses.push(`the apply took ${(line.applyMs / 1_000).toFixed(1)} s, aim: under ${applyMsMax / 1_000} s`);
  if (line.planAfterApplyChanges > 0) misses.push(`a plan after the apply has ${line.planAfterApplyChanges} changes`);
  if (!line.driftFound) misses.push("what was taken away by hand was not found by a plan");
  if (!line.driftRepaired) misses.push("what was taken away by hand was not put back");
  if (line.failedIdempotent > 0) misses.push(`${line.failedIdempotent} repeatable requests failed outside of the shift`);
  if (line.leftAfterDestroy > 0) misses.push(`${line.leftAfterDestroy} things were left by the destroy`);
  return misses;
}

const applyMsMax = 90_000;
