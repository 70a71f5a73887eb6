import { resourceId, resourceKey } from "#federation/model/resource.ts";
import { isFruitless, type StopCause } from "#federation/catalog/records.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { CanaryState } from "./canary-state.ts";
import type { PolicyForm } from "./canary-trial.ts";

/** Why not every proxy is told of a policy. */
export interface HeldBack {
  readonly state: "waiting" | "tried" | "stopped";
  /** The proxies that were told of it. */
  readonly proxies: readonly string[];
  /** Of one that was stopped, as is the reason. */
  readonly cause?: StopCause;
  readonly reason?: string;
  /** Nobody has said anything of it, so that it is stopped until it is tried again by itself. */
  readonly triedAgain?: true;
}

/** A policy that not every proxy of a cluster is told of. */
export interface CanaryRow extends HeldBack {
  readonly kind: "TrafficPolicy";
  readonly id: string;
  /** Position of the write in the global plane's store. */
  readonly generation?: Generation;
  /** Wall-clock ms since when it is stopped. */
  readonly stoppedAtMs?: number;
}

/** The policies that not all proxies are told of. Pure, O(those). */
export function canaryRows(state: CanaryState): readonly CanaryRow[] {
  return [...state.unsettled].flatMap((target) => {
    const form = state.wanted.get(target);
    return form === undefined ? [] : [rowOf(state, target, form)];
  });
}

/** Why not all proxies are told of the resource with this `resourceKey`; nothing where they are. Pure, O(policies that are held back). */
export function heldBackOf(state: CanaryState, key: string): { readonly heldBack?: HeldBack } {
  const row = canaryRows(state).find(({ kind, id }) => resourceKey(kind, id) === key);
  return row === undefined ? {} : { heldBack: row };
}

/** `namespace/name`. */
export function policyName({ policy }: PolicyForm): string {
  return resourceId(policy.metadata);
}

function rowOf({ stopped, trial }: CanaryState, target: string, form: PolicyForm): CanaryRow {
  const known = { kind: "TrafficPolicy", id: policyName(form), ...(form.generation === undefined ? {} : { generation: form.generation }) } as const;
  const stop = stopped.get(target);
  if (stop !== undefined) return { ...known, state: "stopped", proxies: [stop.proxy], cause: stop.cause, reason: stop.reason, ...(isFruitless(stop.cause) ? { triedAgain: true } : {}), stoppedAtMs: stop.atMs };
  const isTried = trial?.forms.has(target) === true;
  return { ...known, state: isTried ? "tried" : "waiting", proxies: isTried ? [...trial.canaries.values()].map(({ name }) => name) : [] };
}
