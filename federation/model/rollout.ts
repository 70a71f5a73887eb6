import type { Kind } from "./resource.ts";
import type { Generation } from "./snapshot.ts";

/**
 * How far a write has come with one of those that it concerns.
 * - `done`: has acknowledged this form of the resource, or a later one.
 * - `pending`: is heard, and has not acknowledged it yet.
 * - `unreachable`: has not acknowledged it, and is not heard.
 * - `refused`: has it, and says that it cannot use it.
 */
export const rolloutStates = ["done", "pending", "unreachable", "refused"] as const;

export type RolloutState = (typeof rolloutStates)[number];

/** What a rollout waits for: a cluster, as the global plane sees it; the plane itself that is asked; a proxy of its; or the global plane, for what a cluster exports. */
export type RolloutTargetKind = "cluster" | "plane" | "proxy" | "global";

/** One of those that a write concerns. */
export interface RolloutTarget {
  readonly kind: RolloutTargetKind;
  readonly name: string;
  readonly state: RolloutState;
  /** Since it was last heard, in ms; absent: never, or it is always there. */
  readonly heardAgeMs?: number;
  /** Since the oldest thing that it has not acknowledged was sent, in ms; absent when there is none. */
  readonly behindMs?: number;
  /** Why it refuses, in its own words; or why waiting alone will not help. */
  readonly reason?: string;
}

/** Which form of which resource is to be in force. */
export interface RolloutSubject {
  readonly kind: Kind;
  readonly id: string;
  /** Position of the write in its owner's store; undefined: the resource is to be gone. */
  readonly generation: Generation | undefined;
}

/** How far a write has come with all that it concerns. */
export interface Rollout extends RolloutSubject {
  /** True when there is nobody of whom anything is missing. */
  readonly done: boolean;
  readonly counts: Readonly<Record<RolloutState, number>>;
  /** Proxies last; of them, and of the others, those of whom something is missing first; then by name. */
  readonly targets: readonly RolloutTarget[];
}
