import type { Generation } from "./snapshot.ts";

/** Why a store is taken to have lost what it once held. */
export type BehindReason =
  /** Its epoch is one that was over already, or it has none where there was one. */
  | "epoch"
  /** It is at a position that it had passed. */
  | "revision"
  /** It does not hold the mark that this plane wrote last, or not its last write: it is another store, or its history has been written anew. */
  | "mark"
  /** Another plane has shown this plane's own signature of a later position. */
  | "peer";

export const behindReasons = ["epoch", "revision", "mark", "peer"] as const satisfies readonly BehindReason[];

/** That a store is behind, and what of it was witnessed by whom: "this plane", or another one by its name. */
export interface SeenBehind {
  readonly reason: BehindReason;
  readonly witnessed: Generation;
  readonly witness: string;
}

/** How much of a store's history is certain, as positions of it. */
export interface StoreHistory {
  /** When this incarnation took the store up, before it wrote anything. */
  readonly opened: number;
  /** Of the last that this incarnation has written there for certain. */
  readonly written: number;
}

/** What another plane has shown of this one by this one's own signature: its store had come further than it is now, or than it was when it was taken up. */
export interface ShownPosition {
  readonly witnessed: Generation;
  /** The name of who has shown it. */
  readonly witness: string;
  /** The position that has to be below it. */
  readonly present: () => Generation;
}

/** Where this plane's own memory is named as a witness. */
export const ownWitness = "this plane";

export interface StoreBehind extends SeenBehind {
  readonly state: "behind";
  /** What the store was found at. Epoch 0: it has none. */
  readonly found: Generation;
  /** Wall-clock ms at which that was seen. */
  readonly sinceMs: number;
}

/** Whether a plane's store holds what is known of it. */
export type StoreStanding = { readonly state: "sound"; readonly epoch: number } | StoreBehind;

/** The epoch that is written in the store. */
export function epochOf(standing: StoreStanding): number {
  return standing.state === "sound" ? standing.epoch : standing.found.epoch;
}

/** What became of the store, in words that follow "its store". */
export const behindWords: Readonly<Record<BehindReason, string>> = {
  epoch: "is of an earlier life than the one that was witnessed",
  revision: "is behind what was witnessed",
  mark: "is not the one that was witnessed, or its history was written anew",
  peer: "is behind what other planes hold of it",
};

/** What an operator can decide about a store that is behind. */
export const reconcileDecisions = ["keep", "take-newer"] as const;
export type ReconcileDecision = (typeof reconcileDecisions)[number];
