import { jittered, type Random } from "#federation/runtime/random.ts";

/** How often an endpoint is asked: as its document hints, within these bounds. Ms. */
export const refreshMsBounds = { min: 60_000, max: 3_600_000 } as const;

/** The pause after the first failure, and the longest one. Ms. */
export const fetchRetryMs = { first: 5_000, max: 300_000 } as const;

const jitterRatio = 0.1;

/** Until an endpoint that has answered is asked again, ms. A hint of 0 means that the document has none that is of use. */
export function refreshAfterMs(refreshHintSeconds: number, random: Random): number {
  return jittered(random, Math.min(Math.max(refreshHintSeconds * 1_000, refreshMsBounds.min), refreshMsBounds.max), jitterRatio);
}

/** Until one that has failed so often in a row (1 and more) is asked again, ms. */
export function retryAfterMs(failuresInRow: number, random: Random): number {
  return jittered(random, Math.min(fetchRetryMs.first * 2 ** Math.min(failuresInRow - 1, 16), fetchRetryMs.max), jitterRatio);
}
