import type { StopCause } from "#federation/catalog/records.ts";
import type { TrafficPolicy } from "#federation/model/resource.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";

/** One form of the policy that a service is called by. */
export interface PolicyForm {
  readonly policy: TrafficPolicy;
  /** Position of the write in its owner's store; undefined where nobody says. */
  readonly generation: Generation | undefined;
}

/** A proxy that may be told of a change before the others. */
export interface CanaryCandidate {
  readonly key: string;
  readonly name: string;
  readonly identity: string;
  /** As `processOf` has it. */
  readonly process?: string | undefined;
}

/** Most proxies that are told of a change before the others. */
export const canariesMax = 3;

/** Of so many proxies one is a canary. */
export const proxiesPerCanary = 10;

/**
 * How long a canary has to live with what it has taken, in ms: what ends a process when it is put to use ends it then. A quarter of a second
 * would find more, and cost every change of a policy five times what it has (DESIGN §13: 50 ms from the write to the proxy).
 */
export const canaryLifeMs = 25;

/** How long a canary may be without an answer, or away, in ms: one whose stream has broken tries again within this. */
export const canaryPatienceMs = proxyReturnMs;

/** How long a second end of a canary's stream waits for its verdict, in ms: of links that are lost together the others' ends may be heard after it. */
export const lossesTogetherMs = 1_000;

/** So often a canary's link may break, each time under a process that lives on; then the canary counts as one that left. */
export const linkBreaksMax = 3;

/** From this share of the others on, whose stream has ended as well, a canary's end is not laid to what it was told. */
export const commonLossRatio = 0.5;

/**
 * What is known of a canary. `told` -> `took`, and after `canaryLifeMs` it has borne it. An end of its stream leads to `away`, and its
 * return to `told` again: in the same process, only its link had broken; in another one, the process has ended, and the second time that is
 * held against what it was told (`ended`). Of one that does not say which process it is, any second end is. None is, if as many of the
 * others have lost their streams: see `withoutCutOff`.
 */
export interface CanaryStanding {
  readonly name: string;
  readonly state: "told" | "took" | "away" | "refused" | "ended";
  /** Monotonic ms. */
  readonly sinceMs: number;
  /** When its streams ended, but for links that broke, monotonic ms. */
  readonly endsMs: readonly number[];
  /** Undefined where it does not say. */
  readonly process: string | undefined;
  /** Ends of its streams that its process has outlived. */
  readonly linkBreaks: number;
  /** Of one that refused. */
  readonly reason: string;
}

/** Changes that some proxies are told of before all others. Immutable. */
export interface Trial {
  readonly forms: ReadonlyMap<string, PolicyForm>;
  /** By key of the proxy. */
  readonly canaries: ReadonlyMap<string, CanaryStanding>;
  /** The name of the one that left last, or was cut off with others; empty while none has. */
  readonly left: string;
}

/** Monotonic ms of the ends of a canary's stream that are held against those of others. */
export interface EndsInQuestion {
  /** From then on the others' ends count. */
  readonly fromMs: number;
  /** Whoever has come since then can say nothing. */
  readonly lastMs: number;
}

/** Proxies that are not canaries, by which an end of a canary's stream is judged. */
export interface OtherStreams {
  /** Those whose stream was there at the last end in question, or has ended in its time. */
  readonly count: number;
  /** Those of them whose stream has ended, by a leave or without. */
  readonly ended: number;
}

/** What is heard of a proxy. */
export interface TrialEvent {
  readonly kind: "took" | "refused" | "ended" | "returned" | "left";
  readonly proxy: string;
  /** Monotonic. */
  readonly nowMs: number;
  /** In the words of one that refused. */
  readonly reason?: string;
  /** Of one that returned. */
  readonly process?: string | undefined;
}

/** By key the processes of canaries that were told of something and have not come back; undefined of one that does not say. */
export type LostCanaries = ReadonlyMap<string, string | undefined>;

export type TrialVerdict =
  | { readonly kind: "open" }
  | { readonly kind: "passed" }
  /** One did not bear it; or nobody said anything, and it is tried again with others. */
  | { readonly kind: "failed" | "fruitless"; readonly proxy: string; readonly cause: StopCause; readonly reason: string; /** Those that may have ended by it. */ readonly lost?: LostCanaries };

const twiceEnded = "its stream ended twice after it was told of it";

/** Tells some of those who are there: one of ten, at least one and not more than `canariesMax`, of as many workloads as there are. Undefined without anybody. Pure, O(candidates). */
export function beginTrial(forms: ReadonlyMap<string, PolicyForm>, candidates: readonly CanaryCandidate[], nowMs: number): Trial | undefined {
  const count = Math.min(canariesMax, Math.max(1, Math.floor(candidates.length / proxiesPerCanary)));
  const canaries = new Map(chosen(candidates, count).map(({ key, name, process }) => [key, { name, state: "told", sinceMs: nowMs, endsMs: [], process, linkBreaks: 0, reason: "" } satisfies CanaryStanding]));
  return canaries.size === 0 ? undefined : { forms, canaries, left: "" };
}

/** The trial after something was heard; the same one where it does not concern it. Pure. */
export function trialAfter(trial: Trial, event: TrialEvent): Trial {
  const canary = trial.canaries.get(event.proxy);
  if (canary === undefined || canary.state === "refused" || canary.state === "ended") return trial;
  if (event.kind === "left") return without(trial, event.proxy, canary);
  const after = standingAfter(canary, event);
  if (after.linkBreaks > linkBreaksMax) return without(trial, event.proxy, canary);
  return after === canary ? trial : { ...trial, canaries: new Map(trial.canaries).set(event.proxy, after) };
}

/** Without one of its changes; undefined when it was the last. */
export function abandoned(trial: Trial, key: string): Trial | undefined {
  if (!trial.forms.has(key)) return trial;
  const forms = new Map(trial.forms);
  forms.delete(key);
  return forms.size === 0 ? undefined : { ...trial, forms };
}

/**
 * The trial without the canaries whose end, due for its verdict, says nothing of what they were told: of the proxies that were not told of
 * it, half or more have lost their streams as well, from `canaryPatienceMs` before the canary's first end on, as links that are cut in
 * silence are not noticed at one time. Where there are no others, an end counts. Pure, O(canaries) and what `others` costs.
 */
export function withoutCutOff(trial: Trial, nowMs: number, others: (ends: EndsInQuestion) => OtherStreams): Trial {
  let judged = trial;
  for (const [proxy, canary] of trial.canaries) {
    if ((canary.state !== "away" && canary.state !== "ended") || canaryDueMs(canary) > nowMs) continue;
    const { count, ended } = others({ fromMs: (canary.endsMs[0] ?? canary.sinceMs) - canaryPatienceMs, lastMs: canary.sinceMs });
    if (count > 0 && ended >= count * commonLossRatio) judged = without(judged, proxy, canary);
  }
  return judged;
}

/** What has come of it by now. Pure. */
export function verdictOf({ canaries, left }: Trial, nowMs: number): TrialVerdict {
  const all = [...canaries.values()];
  const isOver = (canary: CanaryStanding): boolean => canaryDueMs(canary) <= nowMs;
  const refused = all.find(({ state }) => state === "refused");
  if (refused !== undefined) return { kind: "failed", proxy: refused.name, cause: "refused", reason: refused.reason };
  const ended = all.find((canary) => canary.state === "ended" && isOver(canary));
  if (ended !== undefined) return { kind: "failed", proxy: ended.name, cause: "ended", reason: twiceEnded };
  const away = [...canaries].filter(([, canary]) => canary.state === "away" && isOver(canary));
  const twice = away.find(([, { endsMs }]) => endsMs.length > 1);
  if (twice !== undefined) return { kind: "failed", proxy: twice[1].name, cause: "ended", reason: twiceEnded };
  const [lost] = away;
  if (lost !== undefined) return { kind: "fruitless", proxy: lost[1].name, cause: "left", reason: `its stream ended after it was told of it, and it did not come back within ${canaryPatienceMs / 1_000} s`, lost: new Map(away.map(([key, { process }]) => [key, process])) };
  if (all.length === 0) return { kind: "fruitless", proxy: left, cause: "left", reason: "every proxy that was told of it first has left, or was cut off together with others" };
  if (!all.every(isOver)) return { kind: "open" };
  const silent = all.find(({ state }) => state === "told");
  // One that stands still says nothing of what it was told, if others have borne it.
  if (silent !== undefined && all.every(({ state }) => state === "told")) return { kind: "fruitless", proxy: silent.name, cause: "silent", reason: `it has not answered for ${canaryPatienceMs / 1_000} s` };
  return { kind: "passed" };
}

/** When its verdict may change though nothing is heard, by the monotonic clock; undefined: it does not hang on time any more. */
export function trialDueMs({ canaries }: Trial, nowMs: number): number | undefined {
  const ahead = [...canaries.values()].map(canaryDueMs).filter((atMs) => atMs > nowMs);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

function canaryDueMs({ state, sinceMs }: CanaryStanding): number {
  return sinceMs + (state === "took" ? canaryLifeMs : state === "ended" ? lossesTogetherMs : canaryPatienceMs);
}

function without(trial: Trial, proxy: string, { name }: CanaryStanding): Trial {
  const canaries = new Map(trial.canaries);
  canaries.delete(proxy);
  return { ...trial, canaries, left: name };
}

function standingAfter(canary: CanaryStanding, event: TrialEvent): CanaryStanding {
  const { state, endsMs, process } = canary;
  const moved = { ...canary, sinceMs: event.nowMs };
  switch (event.kind) {
    case "refused":
      return { ...moved, state: "refused", reason: event.reason ?? "no reason given" };
    case "took":
      return state === "told" ? { ...moved, state: "took" } : canary;
    case "ended":
      if (state === "away") return canary;
      // Whether a known process has ended is seen by its return.
      return { ...moved, state: endsMs.length === 0 || process !== undefined ? "away" : "ended", endsMs: [...endsMs, event.nowMs] };
    case "returned":
      if (state !== "away") return canary;
      if (process !== undefined && process === event.process) return { ...moved, state: "told", endsMs: endsMs.slice(0, -1), linkBreaks: canary.linkBreaks + 1 };
      return { ...moved, state: endsMs.length > 1 ? "ended" : "told", process: event.process };
    case "left":
      break;
  }
  return canary;
}

/** The first of each workload before the second of any. */
function chosen(candidates: readonly CanaryCandidate[], count: number): readonly CanaryCandidate[] {
  const seen = new Set<string>();
  const firsts = candidates.filter(({ identity }) => !seen.has(identity) && seen.add(identity));
  const isFirst = new Set(firsts);
  return [...firsts, ...candidates.filter((candidate) => !isFirst.has(candidate))].slice(0, count);
}
