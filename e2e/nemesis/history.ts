import type { Generation } from "#federation/model/snapshot.ts";

/** One thing that is written by one writer alone, and read at every plane that is meant to know it. */
export interface Register {
  /** `plane/name`, unique in a history. */
  readonly id: string;
  /** The plane that takes its writes. */
  readonly origin: string;
  /** Planes besides the origin that are to know it; everybody else must not. */
  readonly audience: readonly string[];
}

/** `failed`: refused, so that nothing comes of it. `unknown`: it may have happened, or may yet. */
export type Outcome = "ok" | "failed" | "unknown";

/** A write of a register. Times are monotonic, ms. */
export interface Write {
  readonly register: string;
  /** Versions count up from 1; 0 deletes. What was deleted is never written again. */
  readonly value: number;
  readonly invokedMs: number;
  readonly returnedMs: number;
  readonly outcome: Outcome;
}

/** What a plane shows of a register. */
export interface Seen {
  readonly value: number;
  /** Of the signed object, at planes that hold one. */
  readonly generation?: Generation;
}

/** Everything that one plane showed at once; what is not in `values` is not there. */
export interface Sighting {
  readonly plane: string;
  readonly invokedMs: number;
  readonly returnedMs: number;
  /** The answer says that it is stale, or the plane has said that its store went backwards: its own registers may be old in it. */
  readonly isMarked: boolean;
  /** The plane's own store was put back or lost in this run: what it holds of others may have gone back with it, until it has fetched it again. */
  readonly wasPutBack: boolean;
  readonly values: ReadonlyMap<string, Seen>;
}

/** What happened in one run, in order of invocation by each writer and of each plane's sightings. */
export interface History {
  readonly registers: readonly Register[];
  readonly writes: readonly Write[];
  readonly sightings: readonly Sighting[];
  /** By processes of a plane that another one had taken over from, in no order; only what these show of their own registers counts. */
  readonly strays: readonly Sighting[];
  /** One of every plane, after everything has healed and nobody writes any more. */
  readonly final: readonly Sighting[];
}

/** `lost`: acknowledged, and gone in the end. `vanished`: a receiver let go what nobody had deleted, if only for a while. `stale`: an unmarked read at the origin that misses what was acknowledged before. `backwards`: a later read shows an earlier form. `unfenced`: a write that was taken by who did not lead. */
export const violationKinds = ["lost", "resurrected", "fabricated", "stale", "backwards", "vanished", "divergent", "leaked", "unfenced"] as const;
export type ViolationKind = (typeof violationKinds)[number];

export interface Violation {
  readonly kind: ViolationKind;
  readonly register: string;
  /** A sentence for who looks into it. */
  readonly detail: string;
}
