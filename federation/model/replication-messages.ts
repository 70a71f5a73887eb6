import type { SignedObject } from "./replicated-object.ts";
import type { StaleOrigins } from "./stale-origins.ts";
import type { Generation } from "./snapshot.ts";

/** Largest message on the bus between planes, in bytes: well under NATS's default of 1 MiB. */
export const frameBytesMax = 256 * 1024;

/** Buckets that a publisher's objects fall into, and bytes of all their digests together. */
export const bucketCount = 256;
export const digestsBytes = bucketCount * 8;

/** Objects and withdrawals in one frame or one part of an answer. */
export const frameEntriesMax = 4096;

/** Where in which publisher's history a message stands. */
export interface StreamPosition {
  /** Identity of the publisher's store. */
  readonly epoch: number;
  /** Grows with each start of the publisher within an epoch. */
  readonly term: number;
  /** New for each start of the publisher. */
  readonly stream: string;
  /** Frames of the stream up to and including this one. */
  readonly seq: number;
}

/** Who sends to whom. */
export interface LinkNames {
  readonly federation: string;
  /** Cluster id, or "global". */
  readonly publisher: string;
  /** Cluster id, or "global". */
  readonly audience: string;
}

/** Changes, in order. */
export interface Frame extends LinkNames, StreamPosition {
  /** Position of the publisher's store that the changes come from. Absent in frames of an older version. */
  readonly revision?: number | undefined;
  readonly entries: readonly SignedObject[];
  /** Ids of objects that this audience is no longer offered. */
  readonly withdrawn: readonly string[];
}

/** The state of a publisher's whole offer, as of `seq`. */
export interface Heartbeat extends LinkNames, StreamPosition {
  readonly publisherTrustDomain: string;
  /** Of ids and generations. */
  readonly digests: Uint8Array;
  /** Of contents. Absent in heartbeats of an older version. */
  readonly contentDigests?: Uint8Array | undefined;
  /** Position of the publisher's store that the offer reflects; within an epoch it only grows. Absent in heartbeats of an older version. */
  readonly revision?: number | undefined;
  readonly nonce: Uint8Array;
  readonly sentAtMs: number;
  /** Counts the heartbeats of the stream, from 1; 0 of a publisher that does not count. */
  readonly beat: number;
  /** New for each time that a plane publishes, and the same for all its audiences. Absent in heartbeats of an older version. */
  readonly incarnation?: string | undefined;
  /** The nonce of the last heartbeat of another incarnation that was shown to the publisher. */
  readonly echo?: Uint8Array | undefined;
  /** Position of the publisher's store when this incarnation took it up, before it wrote anything. Absent in heartbeats of an older version. */
  readonly opened?: number | undefined;
  /** Position of the last write of this incarnation that the store has acknowledged, its taking up of the store being the first: whoever takes the store up later finds it. */
  readonly written?: number | undefined;
  /** Of a relay: of which origins what it relays may be out of date. Absent: of none, or of an older version. */
  readonly staleOrigins?: StaleOrigins | undefined;
}

export type FetchRequest =
  /** Everything in the buckets that differ from these digests: by content, unless an older version asks, which has none. */
  | { readonly kind: "differing"; readonly digests: Uint8Array; readonly contentDigests?: Uint8Array | undefined }
  /** A further part of an answer that did not fit one message. */
  | { readonly kind: "part"; readonly answer: string; readonly part: number };

/** The whole content of each bucket in `buckets`, as of `seq`; all other buckets were equal then. */
export interface FetchAnswer extends LinkNames, StreamPosition {
  /** Position of the publisher's store that the answer reflects. */
  readonly revision: number;
  readonly buckets: Uint8Array;
  readonly answer: string;
  readonly part: number;
  /** 0 when the publisher no longer holds the answer that a part was asked of. */
  readonly parts: number;
  readonly entries: readonly SignedObject[];
}

/** What a receiver has made durable, and what it would not take of it. */
export interface Acknowledgement {
  readonly receiver: string;
  readonly stream: string;
  readonly seq: number;
  readonly appliedAtMs: number;
  /** Objects that are offered as of `seq` and that the receiver does not hold. An older receiver names none. */
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
  /** Kinds of which there may be more of them than are named. */
  readonly refusedKinds: readonly string[];
  /** True when there may be more of them than are named, of any kind. */
  readonly mayRefuseMore: boolean;
  /** True when the receiver applies nothing, because the publisher's store was seen behind what it had told it. An older receiver never says so. */
  readonly needsReconcile: boolean;
  /** Then the encoded heartbeat that shows it: the publisher's own, signed, at a position that it does not know any more. */
  readonly witness?: Uint8Array | undefined;
  /** The encoded heartbeat of another incarnation of the publisher, heard beside the present one. */
  readonly rival?: Uint8Array | undefined;
  /** Of `laterKinds` those that the receiver takes. Absent of an older one: none. */
  readonly takes?: readonly string[];
}

/** The generation that an answer reflects in the publisher's own store. */
export function answerGeneration(answer: FetchAnswer): Generation {
  return { epoch: answer.epoch, revision: answer.revision };
}

/** Whether `parts` are all parts of one answer, in order. */
export function isWholeAnswer(parts: readonly FetchAnswer[]): boolean {
  const first = parts[0];
  return first?.parts === parts.length && parts.every((part, index) => isPartOf(first, part, index));
}

/** Whether `answer` is part `index` of the answer that `first` begins. */
export function isPartOf(first: FetchAnswer, answer: FetchAnswer, index: number): boolean {
  return answer.parts === first.parts && answer.part === index && answer.answer === first.answer && answer.stream === first.stream && answer.seq === first.seq;
}
