import { isDeepStrictEqual } from "node:util";
import { isFruitless, type StopCause } from "#federation/catalog/records.ts";
import { changedKeys, type OrderedMap } from "#federation/runtime/ordered-map.ts";
import { retryAfter, retryCandidates, type Retry } from "./canary-retry.ts";
import { abandoned, beginTrial, trialAfter, trialDueMs, verdictOf, withoutCutOff, type CanaryCandidate, type EndsInQuestion, type LostCanaries, type OtherStreams, type PolicyForm, type Trial, type TrialEvent, type TrialVerdict } from "./canary-trial.ts";

/** A form that a canary did not bear: nobody is told of it any more. Or one of which nobody said anything: it is held back, and tried again. */
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
  readonly fruitless: readonly Trial[];
  /** Of each unsettled one the trials, of it alone, after which canaries have not come back. */
  readonly losses: ReadonlyMap<string, readonly LostCanaries[]>;
  /** Of the stopped ones of which nobody said anything, when they are tried again; those without an entry at once. */
  readonly retries: ReadonlyMap<string, Retry>;
}

/** Those who are there at a moment, and when it is. */
export interface CanaryMoment {
  /** Connected, and level with what they were sent; those of longest standing first. */
  readonly candidates: () => readonly CanaryCandidate[];
  /** There is a proxy here, level or not, or one may still come back to a plane that has just begun to serve. */
  readonly hasProxies: boolean;
  /** There is none, and none is left that was lost and may route by what it was told. */
  readonly isDeserted: boolean;
  /** The proxy of that key is connected, or may come back. */
  readonly isAwaited: (key: string) => boolean;
  /** The proxies but those of `canaries`, and what has become of their streams. */
  readonly others: (canaries: Trial["canaries"], ends: EndsInQuestion) => OtherStreams;
  /** Monotonic. */
  readonly nowMs: number;
  readonly wallMs: number;
}

/** After so many trials in a row of which nobody said anything, what was tried is held back until its next retry. */
export const fruitlessTrialsMax = 3;

/** After so many trials of one policy whose canaries have not come back, that is its doing. */
export const lossesMax = 3;

/** A plane that tells everybody `settled`, and knows of `stopped`. */
export function canaryState(settled: PolicyForms, stopped: OrderedMap<StoppedForm>): CanaryState {
  return { wanted: settled, settled, unsettled: new Set(), stopped, trial: undefined, alone: new Set(), fruitless: [], losses: new Map(), retries: new Map() };
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
  const losses = new Map(state.losses);
  const retries = new Map(state.retries);
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
    if (!stopped.has(key)) retries.delete(key);
    if (isTold || !isSameWrite(state.wanted.get(key), form)) losses.delete(key);
    alone.delete(key);
  }
  return { ...state, wanted, settled, unsettled, stopped, trial, alone, losses, retries };
}

/** `state` after something was heard of a canary, or of one that was: itself where that says nothing new. Pure. */
export function afterEvent(state: CanaryState, event: TrialEvent): CanaryState {
  const trial = state.trial === undefined ? undefined : trialAfter(state.trial, event);
  const losses = event.kind === "returned" ? withoutReturned(state.losses, event) : state.losses;
  return trial === state.trial && losses === state.losses ? state : { ...state, trial, losses };
}

/** `state` with every outcome that is due at `moment`, and with the next trial begun when there is anything to try and anybody to try it with; itself where nothing is. Pure, O(policies that differ + candidates). */
export function advance(state: CanaryState, moment: CanaryMoment): CanaryState {
  const decided = withRetryPutOff(withVerdict(state, moment), moment);
  if (decided.trial !== undefined) return decided;
  const untried = untriedKeys(decided);
  if (!moment.hasProxies) return settle(decided, moment.isDeserted ? [...untried, ...heldKeys(decided)].filter((key) => !decided.losses.has(key)) : untried.filter((key) => !isToldOf(decided, key)));
  if (untried.length === 0) return withRetry(decided, moment);
  const together = untried.filter((key) => !decided.alone.has(key));
  const forms = new Map((together.length > 0 ? together : untried.slice(0, 1)).flatMap((key) => {
    const form = decided.wanted.get(key);
    return form === undefined ? [] : [[key, form] as const];
  }));
  const trial = beginTrial(forms, moment.candidates(), moment.nowMs);
  return trial === undefined ? decided : { ...decided, trial };
}

/** When `advance` has to be called again though nothing is heard, by the monotonic clock; undefined: not at all. Pure, O(policies that differ). */
export function dueMs(state: CanaryState, nowMs: number): number | undefined {
  const { trial } = state;
  if (trial !== undefined) return trialDueMs(trial, nowMs);
  const ahead = heldKeys(state).map((key) => retryMs(state, key)).filter((atMs) => atMs > nowMs);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

/** Something is to be tried, as soon as there is a proxy that can try it. Pure, O(policies that differ). */
export function isWaiting(state: CanaryState, nowMs: number): boolean {
  return state.trial === undefined && (untriedKeys(state).length > 0 || heldKeys(state).some((key) => retryMs(state, key) <= nowMs));
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

type Outcome = Exclude<TrialVerdict, { kind: "open" | "passed" }>;

function withVerdict(state: CanaryState, moment: CanaryMoment): CanaryState {
  const { nowMs } = moment;
  const { trial: before } = state;
  if (before === undefined) return state;
  const trial = withoutCutOff(before, nowMs, (ends) => moment.others(before.canaries, ends));
  const verdict = verdictOf(trial, nowMs);
  if (verdict.kind === "open") return trial === before ? state : { ...state, trial };
  const ended: CanaryState = { ...state, trial: undefined };
  if (verdict.kind === "passed") return retriedAtOnce(settle(ended, [...trial.forms.keys()]), nowMs);
  if (verdict.kind === "fruitless" && verdict.lost === undefined && !isRetry(ended, trial) && ended.fruitless.length + 1 < fruitlessTrialsMax) return { ...ended, fruitless: [...ended.fruitless, trial] };
  // Of several nobody knows which it was.
  if (trial.forms.size > 1) return triedAlone(ended, trial);
  return verdict.lost === undefined ? withStopped(ended, trial, verdict, moment) : withLoss(ended, trial, { ...verdict, lost: verdict.lost }, moment);
}

/** What is tried alone is held back and tried again, unless it has cost canaries too often. */
function withLoss(state: CanaryState, trial: Trial, verdict: Outcome & { readonly lost: LostCanaries }, moment: CanaryMoment): CanaryState {
  const losses = new Map(state.losses);
  for (const key of trial.forms.keys()) losses.set(key, [...(losses.get(key) ?? []), verdict.lost]);
  const isRepeated = [...trial.forms.keys()].some((key) => (losses.get(key)?.length ?? 0) >= lossesMax);
  return withStopped({ ...state, losses }, trial, isRepeated ? { ...verdict, kind: "failed", cause: "away" } : verdict, moment);
}

function triedAlone(state: CanaryState, trial: Trial): CanaryState {
  return { ...state, fruitless: [], alone: new Set([...state.alone, ...trial.forms.keys()]) };
}

/** Nobody is told of what was tried alone any more: for good, or until it is tried again. */
function withStopped(state: CanaryState, trial: Trial, { kind, proxy, cause, reason }: Outcome, { isAwaited, nowMs, wallMs }: CanaryMoment): CanaryState {
  let { stopped } = state;
  const alone = new Set(state.alone);
  const retries = new Map(state.retries);
  for (const [key, form] of trial.forms) {
    const before = stopped.get(key);
    // What is held back goes on being so since when it was.
    if (kind === "failed" || before === undefined) stopped = stopped.with(key, { form, proxy, cause, reason, atMs: wallMs });
    else if (before.cause !== cause) stopped = stopped.with(key, { form, proxy, cause, reason, atMs: before.atMs });
    if (kind === "failed") retries.delete(key);
    else retries.set(key, retryAfter(retries.get(key), [...state.fruitless, trial].flatMap(({ canaries }) => [...canaries.keys()]), isAwaited, nowMs));
    alone.delete(key);
  }
  return { ...state, stopped, alone, retries, fruitless: [] };
}

/** With the trial of something that is held back put off, where there is anything new to try: that waits for nothing that nobody may answer. */
function withRetryPutOff(state: CanaryState, { isAwaited, nowMs }: CanaryMoment): CanaryState {
  const { trial } = state;
  if (trial === undefined || !isRetry(state, trial) || untriedKeys(state).length === 0) return state;
  const retries = new Map(state.retries);
  for (const key of trial.forms.keys()) retries.set(key, retryAfter(retries.get(key), trial.canaries.keys(), isAwaited, nowMs));
  return { ...state, trial: undefined, retries };
}

/** With the trial of what has been held back for its pause, if any of those may try it who are there: each alone. */
function withRetry(state: CanaryState, { candidates, isAwaited, nowMs }: CanaryMoment): CanaryState {
  const due = heldKeys(state).filter((key) => retryMs(state, key) <= nowMs);
  const there = due.length === 0 ? [] : candidates();
  for (const key of due) {
    const form = state.wanted.get(key);
    if (form === undefined) continue;
    const trial = beginTrial(new Map([[key, form]]), retryCandidates(state.retries.get(key), there, isAwaited), nowMs);
    if (trial !== undefined) return { ...state, trial };
  }
  return state;
}

/** Proxies answer: whatever nobody answered is asked again without its pause. */
function retriedAtOnce(state: CanaryState, nowMs: number): CanaryState {
  if (state.retries.size === 0) return state;
  return { ...state, retries: new Map([...state.retries].map(([key, retry]) => [key, { ...retry, atMs: Math.min(retry.atMs, nowMs) }])) };
}

/** A process that comes back has not ended by what it was told: its loss is withdrawn. */
function withoutReturned(losses: CanaryState["losses"], { proxy, process }: TrialEvent): CanaryState["losses"] {
  const isBack = (lost: LostCanaries): boolean => process !== undefined && lost.get(proxy) === process;
  if (![...losses.values()].some((trials) => trials.some(isBack))) return losses;
  const rest = [...losses].map(([key, trials]) => [key, trials.map((lost) => (isBack(lost) ? new Map([...lost].filter(([name]) => name !== proxy)) : lost)).filter(({ size }) => size > 0)] as const);
  return new Map(rest.filter(([, trials]) => trials.length > 0));
}

/** Some proxy was told of what waits to be tried again: that all of them are lost may be its doing. */
function isToldOf({ wanted, alone, fruitless }: CanaryState, key: string): boolean {
  const form = wanted.get(key);
  return alone.has(key) || (form !== undefined && fruitless.some(({ forms }) => isSameWrite(forms.get(key), form)));
}

/** The services whose policy is stopped because nobody said anything. */
function heldKeys({ unsettled, stopped }: CanaryState): readonly string[] {
  if (stopped.size === 0) return [];
  return [...unsettled].filter((key) => {
    const stop = stopped.get(key);
    return stop !== undefined && isFruitless(stop.cause);
  });
}

function retryMs({ retries }: CanaryState, key: string): number {
  return retries.get(key)?.atMs ?? -Infinity;
}

function isRetry({ stopped }: CanaryState, { forms }: Trial): boolean {
  return [...forms.keys()].some((key) => stopped.has(key));
}

function settle(state: CanaryState, keys: readonly string[]): CanaryState {
  if (keys.length === 0) return state;
  let { settled, stopped } = state;
  const unsettled = new Set(state.unsettled);
  const alone = new Set(state.alone);
  const losses = new Map(state.losses);
  const retries = new Map(state.retries);
  for (const key of keys) {
    const form = state.wanted.get(key);
    settled = form === undefined ? settled.without(key) : settled.with(key, form);
    stopped = stopped.without(key);
    unsettled.delete(key);
    alone.delete(key);
    losses.delete(key);
    retries.delete(key);
  }
  return { ...state, settled, unsettled, stopped, alone, losses, retries, fruitless: [] };
}

function isSamePolicy(a: PolicyForm, b: PolicyForm): boolean {
  return a.policy === b.policy || (isDeepStrictEqual(a.policy.spec, b.policy.spec) && a.policy.metadata.name === b.policy.metadata.name && a.policy.metadata.namespace === b.policy.metadata.namespace);
}

/** The same content by the same write. */
function isSameWrite(a: PolicyForm | undefined, b: PolicyForm): boolean {
  return a !== undefined && isSamePolicy(a, b) && isDeepStrictEqual(a.generation, b.generation);
}
