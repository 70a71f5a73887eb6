import { isDeepStrictEqual } from "node:util";
import type { StopCause } from "#federation/catalog/records.ts";
import { changedKeys, type OrderedMap } from "#federation/runtime/ordered-map.ts";
import { abandoned, beginTrial, trialAfter, trialDueMs, verdictOf, type CanaryCandidate, type PolicyForm, type Trial, type TrialEvent } from "./canary-trial.ts";

/** A form that a canary did not bear: nobody is told of it any more. */
export interface StoppedForm {
  readonly form: PolicyForm;
  /** The proxy that it was seen by. */
  readonly proxy: string;
  readonly cause: StopCause;
  readonly reason: string;
  /** Wall-clock ms. */
  readonly atMs: number;
}

/** By `targetKey` of a service the form of its policy. */
export type PolicyForms = OrderedMap<PolicyForm>;

/** What this cluster's proxies are told of policies, and what is not yet, or not any more, told to all of them. Immutable. */
export interface CanaryState {
  /** What is to be told. */
  readonly wanted: PolicyForms;
  /** What every proxy is told that is not a canary. */
  readonly settled: PolicyForms;
  /** The services for which these two differ: tried, to be tried, or stopped. */
  readonly unsettled: ReadonlySet<string>;
  readonly stopped: OrderedMap<StoppedForm>;
  /** The changes that a few proxies are told of before all others. */
  readonly trial: Trial | undefined;
  /** Those of a trial of several that went wrong: each is tried alone, so that one is found to be at fault. */
  readonly alone: ReadonlySet<string>;
  /** Trials that ended without a word of anybody since the last one that brought an outcome. */
  readonly fruitless: number;
}

/** Those who are there at a moment, and when it is. */
export interface CanaryMoment {
  /** Connected, and level with what they were sent; those of longest standing first. */
  readonly candidates: () => readonly CanaryCandidate[];
  /** There is a proxy here, level or not, or one may still come back to a plane that has just begun to serve. */
  readonly hasProxies: boolean;
  /** Monotonic. */
  readonly nowMs: number;
  readonly wallMs: number;
}

/** After so many trials in a row of which nobody said anything, what was tried is stopped. */
export const fruitlessTrialsMax = 3;

/** A plane that tells everybody `settled`, and knows of `stopped`. */
export function canaryState(settled: PolicyForms, stopped: OrderedMap<StoppedForm>): CanaryState {
  return { wanted: settled, settled, unsettled: new Set(), stopped, trial: undefined, alone: new Set(), fruitless: 0 };
}

/**
 * `state` once `wanted` is to be told. What is withdrawn, or put back to the form that everybody has, is told to all at once and ends its
 * trial; anything else waits for one. A form that was stopped is not tried again until it is written again. Pure, O(changes log policies).
 */
export function withWanted(state: CanaryState, wanted: PolicyForms): CanaryState {
  if (wanted === state.wanted) return state;
  let { settled, stopped, trial } = state;
  const unsettled = new Set(state.unsettled);
  const alone = new Set(state.alone);
  for (const key of changedKeys(state.wanted, wanted)) {
    const form = wanted.get(key);
    const present = settled.get(key);
    const isTold = form === undefined || (present !== undefined && isSamePolicy(present, form));
    if (isTold) settled = form === undefined ? settled.without(key) : settled.with(key, form);
    if (isTold) unsettled.delete(key);
    else unsettled.add(key);
    const isTried = form !== undefined && isSameWrite(trial?.forms.get(key), form);
    if (trial !== undefined && (isTold || !isTried)) trial = abandoned(trial, key);
    const known = stopped.get(key);
    if (known !== undefined && (form === undefined || !isSameWrite(known.form, form))) stopped = stopped.without(key);
    alone.delete(key);
  }
  return { ...state, wanted, settled, unsettled, stopped, trial, alone };
}

/** `state` after something was heard of a canary; itself where that says nothing new. Pure. */
export function afterEvent(state: CanaryState, event: TrialEvent): CanaryState {
  const trial = state.trial === undefined ? undefined : trialAfter(state.trial, event);
  return trial === state.trial ? state : { ...state, trial };
}

/** `state` with every outcome that is due at `moment`, and with the next trial begun when there is anything to try and anybody to try it with; itself where nothing is. Pure, O(policies that differ + candidates). */
export function advance(state: CanaryState, moment: CanaryMoment): CanaryState {
  const decided = withVerdict(state, moment);
  if (decided.trial !== undefined) return decided;
  const untried = untriedKeys(decided);
  if (untried.length === 0) return decided;
  if (!moment.hasProxies) return settle(decided, untried);
  const together = untried.filter((key) => !decided.alone.has(key));
  const forms = new Map((together.length > 0 ? together : untried.slice(0, 1)).flatMap((key) => {
    const form = decided.wanted.get(key);
    return form === undefined ? [] : [[key, form] as const];
  }));
  const trial = beginTrial(forms, moment.candidates(), moment.nowMs);
  return trial === undefined ? decided : { ...decided, trial };
}

/** When `advance` has to be called again though nothing is heard, by the monotonic clock; undefined: not at all. Pure. */
export function dueMs({ trial }: CanaryState, nowMs: number): number | undefined {
  return trial === undefined ? undefined : trialDueMs(trial, nowMs);
}

/** What a canary is told: what all are told, and what is tried. Pure, O(tried log policies). */
export function triedForms({ settled, trial }: CanaryState): PolicyForms {
  let forms = settled;
  for (const [key, form] of trial?.forms ?? []) forms = forms.with(key, form);
  return forms;
}

/** The services whose new policy waits for its trial. Pure, O(policies that differ). */
export function untriedKeys({ unsettled, stopped }: Pick<CanaryState, "unsettled" | "stopped">): readonly string[] {
  return [...unsettled].filter((key) => !stopped.has(key));
}

function withVerdict(state: CanaryState, { nowMs, wallMs }: CanaryMoment): CanaryState {
  const { trial } = state;
  if (trial === undefined) return state;
  const verdict = verdictOf(trial, nowMs);
  if (verdict.kind === "open") return state;
  const ended: CanaryState = { ...state, trial: undefined };
  if (verdict.kind === "passed") return settle(ended, [...trial.forms.keys()]);
  if (verdict.kind === "fruitless" && state.fruitless + 1 < fruitlessTrialsMax) return { ...ended, fruitless: state.fruitless + 1 };
  // Of several nobody knows which it was.
  if (trial.forms.size > 1) return { ...ended, fruitless: 0, alone: new Set([...state.alone, ...trial.forms.keys()]) };
  let { stopped } = state;
  const alone = new Set(state.alone);
  for (const [key, form] of trial.forms) {
    stopped = stopped.with(key, { form, proxy: verdict.proxy, cause: verdict.cause, reason: verdict.reason, atMs: wallMs });
    alone.delete(key);
  }
  return { ...ended, stopped, alone, fruitless: 0 };
}

function settle(state: CanaryState, keys: readonly string[]): CanaryState {
  let { settled } = state;
  const unsettled = new Set(state.unsettled);
  const alone = new Set(state.alone);
  for (const key of keys) {
    const form = state.wanted.get(key);
    settled = form === undefined ? settled.without(key) : settled.with(key, form);
    unsettled.delete(key);
    alone.delete(key);
  }
  return { ...state, settled, unsettled, alone, fruitless: 0 };
}

function isSamePolicy(a: PolicyForm, b: PolicyForm): boolean {
  return a.policy === b.policy || (isDeepStrictEqual(a.policy.spec, b.policy.spec) && a.policy.metadata.name === b.policy.metadata.name && a.policy.metadata.namespace === b.policy.metadata.namespace);
}

/** The same content by the same write. */
function isSameWrite(a: PolicyForm | undefined, b: PolicyForm): boolean {
  return a !== undefined && isSamePolicy(a, b) && isDeepStrictEqual(a.generation, b.generation);
}
