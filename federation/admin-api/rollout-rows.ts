import type { RolloutState } from "#federation/model/rollout.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { FollowedWrite, PlaneWord, PlaneWords } from "./follow-rollout.ts";
import type { RolloutAnswer } from "./rollout-route.ts";

/** How far a write has come in one cluster, for people and programs. */
export interface RolloutRow {
  readonly cluster: string;
  readonly state: RolloutState;
  /** Those that are connected, and silent ones for as long as they are counted on; absent where nobody could say. */
  readonly proxies?: { readonly done: number; readonly total: number };
  /** What is missing, or why something is not known; empty when there is nothing to say. */
  readonly detail: string;
}

type Target = RolloutAnswer["targets"][number];

/** One row for each cluster that the write concerns, as the planes said last. Pure. */
export function rolloutRows({ plane }: FollowedWrite, words: PlaneWords): readonly RolloutRow[] {
  const first = words.get(plane);
  if (first === undefined) return [];
  if (plane !== "global" || first.kind !== "answer") return [rowOf(plane, first)];
  return first.answer.targets.map((target) => rowOfCluster(target, words.get(target.name))).toSorted((a, b) => (a.cluster < b.cluster ? -1 : 1));
}

function rowOfCluster(target: Target, word: PlaneWord | undefined): RolloutRow {
  if (target.state !== "done") return { cluster: target.name, state: target.state, detail: describeTarget(target) };
  return word === undefined ? { cluster: target.name, state: "done", detail: "its plane is not in the context: nothing is known of its proxies" } : rowOf(target.name, word);
}

/** Those of the rows of whom something is missing, in words: `shop-us: not heard for 12 s`. Pure. */
export function describeMissing(rows: readonly RolloutRow[]): string {
  const missing = rows.filter(({ state }) => state !== "done");
  const [first, second, ...rest] = missing.map(({ cluster, state, detail }) => `${cluster}: ${detail === "" ? state : detail}`);
  return [first, second, rest.length === 0 ? undefined : `${rest.length} more`].filter((part) => part !== undefined).join("; ");
}

function rowOf(cluster: string, word: PlaneWord): RolloutRow {
  if (word.kind !== "answer") return rowOfNone(cluster, word);
  const { done, counts, targets } = word.answer;
  const missing = targets.filter(({ state }) => state !== "done");
  // An answer names proxies last, so that what it leaves out are proxies.
  const others = targets.filter(({ kind }) => kind !== "proxy");
  const total = counts.done + counts.pending + counts.unreachable + counts.refused - others.length;
  const proxies = { done: counts.done - others.filter(({ state }) => state === "done").length, total };
  const state = done ? "done" : counts.refused > 0 ? "refused" : counts.unreachable > 0 ? "unreachable" : "pending";
  const [first] = missing.toSorted((a, b) => weight(a) - weight(b));
  return { cluster, state, proxies, detail: first === undefined ? "" : describeTarget(first) };
}

function rowOfNone(cluster: string, { kind, error }: Exclude<PlaneWord, { readonly kind: "answer" }>): RolloutRow {
  if (kind === "silent") return { cluster, state: "unreachable", detail: `its plane gives no answer: ${describeError(error)}` };
  return { cluster, state: "done", detail: `its plane says nothing of its proxies: ${describeError(error)}` };
}

/** What keeps a write away comes before what only waits. */
function weight({ state, kind }: Target): number {
  return (state === "refused" ? 0 : state === "unreachable" ? 1 : 2) + (kind === "proxy" ? 0.5 : 0);
}

function describeTarget({ kind, name, state, heardAgeMs, behindMs, reason }: Target): string {
  const who = kind === "proxy" ? `proxy ${name}: ` : kind === "global" ? "the global plane: " : kind === "plane" ? "its plane: " : "";
  if (state === "refused") return `${who}refuses it: ${reason ?? "no reason given"}`;
  if (state === "unreachable") return heardAgeMs === undefined ? `${who}was never heard` : `${who}not heard for ${describeAge(heardAgeMs)}`;
  if (reason !== undefined) return reason;
  return behindMs === undefined ? `${who}has not got it yet` : `${who}has not got it, ${describeAge(behindMs)} behind`;
}
