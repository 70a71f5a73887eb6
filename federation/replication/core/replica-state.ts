import type { Generation } from "#federation/model/snapshot.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import type { StreamPosition } from "#federation/model/replication-messages.ts";
import type { Hash } from "./digest-table.ts";

/** A publisher's own signed word of how far its store had come. */
export interface Witness extends StreamPosition, Generation {
  readonly beat: number;
  readonly sentAtMs: number;
  /** Both absent of an older publisher. */
  readonly incarnation?: string;
  readonly written?: number;
  /** The encoded heartbeat, for the publisher to verify. */
  readonly heartbeat: Uint8Array;
}

/** A publisher's store was seen behind what it had told us. */
export interface GivenUp {
  /** Nothing of this epoch, or of one before it, is applied any more. */
  readonly epoch: number;
  /** Wall-clock ms. */
  readonly sinceMs: number;
}

/** How far a receiver has come in its publisher's history. */
export interface ReplicaCursor {
  readonly epoch: number;
  readonly term: number;
  /** Empty before the first answer. */
  readonly stream: string;
  readonly seq: number;
  /** Position in the publisher's own store that the last whole comparison reflected: an unknown key of its own at or below it is old news. */
  readonly floor: Generation;
  /** Absent while the publisher is believed. */
  readonly behind?: GivenUp;
  /** Present while withdrawals are held back. */
  readonly isHoldingBack?: true;
  /** Of the highest position that was heard, some seconds ago at most; absent when the publisher's version says none. */
  readonly witness?: Witness;
}

/** An object that a receiver holds, as far as it compares it. */
export interface HeldObject {
  readonly generation: Generation;
  readonly content: Hash;
}

/** Why an object is not held any more. */
export type RemovalReason =
  /** Its origin deleted it and signed that. Only a higher generation brings the key back. */
  | "deleted"
  /** The publisher no longer offers it to us. The same generation may come back. */
  | "withdrawn"
  /** The publisher's whole offer did not hold it. */
  | "swept";

/** What a receiver remembers of a key that it does not hold. */
export interface DeadRecord {
  readonly generation: Generation;
  readonly reason: RemovalReason;
}

/** One change to make durable, in order. Applying one twice must do what applying it once does. */
export type ReplicaChange =
  | { readonly kind: "put"; readonly id: string; readonly object: OpenedObject }
  | ({ readonly kind: "remove"; readonly id: string } & DeadRecord);

/** What a receiver starts from. */
export interface ReplicaState {
  readonly cursor: ReplicaCursor;
  /** The objects that the store really holds, by object id. */
  readonly live: ReadonlyMap<string, HeldObject>;
  /** Removals worth remembering. Losing them costs the defence against a publisher that replays deleted objects, nothing else. */
  readonly dead: ReadonlyMap<string, DeadRecord>;
}

/** The state of a receiver that has heard nothing yet. */
export const emptyReplicaState: ReplicaState = {
  cursor: { epoch: 0, term: 0, stream: "", seq: 0, floor: { epoch: 0, revision: 0 } },
  live: new Map(),
  dead: new Map(),
};

/** Negative when `a` is of an earlier term or epoch than `b`. */
export function compareTerms(a: Pick<StreamPosition, "epoch" | "term">, b: Pick<StreamPosition, "epoch" | "term">): number {
  return a.epoch === b.epoch ? a.term - b.term : a.epoch - b.epoch;
}
