import type { CanaryCandidate } from "./canary-trial.ts";

/**
 * When a form of which nobody said anything is tried again, and who was told of it. Only in memory: a plane that starts tries at once what
 * one before it has held back.
 */
export interface Retry {
  /** Monotonic ms. */
  readonly atMs: number;
  /** From the trial that brought nothing. */
  readonly pauseMs: number;
  /** Keys of the proxies that were told of it and did not answer. */
  readonly told: ReadonlySet<string>;
}

/** The first pause before such a form is tried again, in ms; each further one is twice as long. */
export const retryPauseMinMs = 4_000;

/** The longest pause, in ms. */
export const retryPauseMaxMs = 60_000;

/** After a trial that brought nothing from those who were `told`; whoever is not awaited any more is forgotten. Pure. */
export function retryAfter(before: Retry | undefined, told: Iterable<string>, isAwaited: (key: string) => boolean, nowMs: number): Retry {
  const pauseMs = before === undefined ? retryPauseMinMs : Math.min(2 * before.pauseMs, retryPauseMaxMs);
  return { atMs: nowMs + pauseMs, pauseMs, told: new Set([...(before?.told ?? []), ...told].filter(isAwaited)) };
}

/**
 * Who may try it again: those who were told of it, as far as they have answered since. As long as one of them is awaited nobody else is
 * told, so that a form by which proxies stand still meets no more of them with each pause. Pure, O(candidates).
 */
export function retryCandidates(retry: Retry | undefined, candidates: readonly CanaryCandidate[], isAwaited: (key: string) => boolean): readonly CanaryCandidate[] {
  const told = [...(retry?.told ?? [])].filter(isAwaited);
  return told.length === 0 ? candidates : candidates.filter(({ key }) => told.includes(key));
}
