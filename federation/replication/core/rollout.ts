import { compareGenerations } from "#federation/model/replicated-object.ts";
import { rolloutStates, type Rollout, type RolloutState, type RolloutSubject, type RolloutTarget, type RolloutTargetKind } from "#federation/model/rollout.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { ObjectStanding } from "./publisher.ts";

/** What is known of one receiver of a plane's objects. */
export interface ReceiverEvidence {
  readonly kind: RolloutTargetKind;
  readonly name: string;
  /** Undefined while there is no stream to it. */
  readonly standing: ObjectStanding | undefined;
  /** Since its last heartbeat; undefined when there never was one. */
  readonly heardAgeMs: number | undefined;
  /** Age of the oldest frame that it has not acknowledged; 0 when there is none. */
  readonly behindMs: number;
}

/** A receiver that was not heard for longer counts as unreachable, not as pending: three missed heartbeats. */
export const reachableAgeMsMax = 3_500;

/**
 * How far a write has come with one receiver. Only its own acknowledgement makes it `done`: of a frame that held this form of
 * the object or a later one, or, where `wanted` is undefined, of a frame after which it has none. Pure.
 */
export function receiverTarget(evidence: ReceiverEvidence, wanted: Generation | undefined): RolloutTarget {
  const { kind, name, standing, heardAgeMs, behindMs } = evidence;
  const state = receiverState(evidence, wanted);
  const isMissing = state !== "done";
  return {
    kind,
    name,
    state,
    ...(heardAgeMs === undefined ? {} : { heardAgeMs: Math.floor(heardAgeMs) }),
    ...(isMissing && behindMs > 0 ? { behindMs: Math.floor(behindMs) } : {}),
    ...(state === "refused" && standing?.refusal !== undefined ? { reason: standing.refusal } : {}),
  };
}

function receiverState({ standing, heardAgeMs }: ReceiverEvidence, wanted: Generation | undefined): RolloutState {
  const isHeard = heardAgeMs !== undefined && heardAgeMs <= reachableAgeMsMax;
  if (standing?.isAcknowledged === true && isAtLeast(standing.generation, wanted)) return standing.refusal === undefined ? "done" : "refused";
  return isHeard ? "pending" : "unreachable";
}

/** True when somebody who holds `held` holds what is wanted, or, where nothing is wanted, holds nothing. */
export function isAtLeast(held: Generation | undefined, wanted: Generation | undefined): boolean {
  if (wanted === undefined || held === undefined) return wanted === held;
  return compareGenerations(held, wanted) >= 0;
}

/** The rollout of `subject` over all that it concerns. Nobody to tell is done. Pure, O(targets log targets). */
export function rolloutOf(subject: RolloutSubject, targets: readonly RolloutTarget[]): Rollout {
  const counts = Object.fromEntries(rolloutStates.map((state) => [state, 0])) as Record<RolloutState, number>;
  for (const { state } of targets) counts[state]++;
  return {
    ...subject,
    done: counts.done === targets.length,
    counts,
    targets: targets.toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1)),
  };
}

/** Proxies, of which there may be thousands, come after all others, and of each sort those of whom something is missing first. */
function rank({ kind, state }: RolloutTarget): number {
  return (kind === "proxy" ? 2 : 0) + (state === "done" ? 1 : 0);
}
