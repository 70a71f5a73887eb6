import { bucketOf, contentHash, isSameHash, ObjectDigests, type Hash } from "./digest-table.ts";
import { FramePacker, type Packet } from "./frame-packer.ts";
import { KeptAnswers } from "./kept-answers.ts";
import { heldBackReason, refusedNamedMax, type RefusedObject } from "./refused-objects.ts";
import { StandingRefusals } from "./standing-refusals.ts";
import type { Acknowledgement, FetchAnswer, FetchRequest, Frame, Heartbeat, LinkNames, StreamPosition } from "#federation/model/replication-messages.ts";
import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { changedKeys } from "#federation/runtime/ordered-map.ts";

/** What a publisher offers at one moment. */
export interface PublishedState {
  /** Position of the publisher's own store that `objects` reflects. Within an epoch it never falls, over restarts neither: receivers take that for a store that was rolled back. */
  readonly revision: number;
  /** By object id. A tombstone tells of a deletion for as long as it is in; a key that leaves is withdrawn. */
  readonly objects: ReadonlyMap<string, OpenedObject>;
}

/** How far behind one receiver is. */
export interface ReceiverLag {
  readonly receiver: string;
  readonly publishedSeq: number;
  /** Undefined when it has acknowledged nothing of this stream. */
  readonly acknowledgedSeq: number | undefined;
  /** Time since the oldest frame that it has not acknowledged was published, in ms; 0 when it has all. */
  readonly behindMs: number;
  /** Wall-clock ms at which the receiver says it applied the last of them. */
  readonly appliedAtMs: number | undefined;
  /** True when the receiver says that it applies nothing any more, because our store was seen behind what it had told. */
  readonly needsReconcile: boolean;
  /** What it showed of our own past and was not that, or nothing new. */
  readonly witnessesRefused: number;
  /** Objects that it goes on refusing, as many of them as it names. */
  readonly refused: readonly RefusedObject[];
}

/** Where one object stands with the receiver. */
export interface ObjectStanding {
  /** Of the form that the last frame about it held, a tombstone's included; undefined when it is not offered. */
  readonly generation: Generation | undefined;
  /** True when it was offered and is not any more; after many more withdrawals that is forgotten. */
  readonly isWithdrawn: boolean;
  /** Whether the receiver has acknowledged that frame, or that of the withdrawal; for what was so from the beginning, the stream itself. */
  readonly isAcknowledged: boolean;
  /** Why the receiver does not hold it though it has acknowledged it; of one that is withdrawn, that it is held all the same. */
  readonly refusal?: string;
}

/** Changes that come faster than this are sent together. Withdrawals and deletions never wait. */
export const batchWindowMs = 50;

/** Points in time kept for `behindMs`. */
const sentMarksMax = 1024;

/** Withdrawals whose frame is remembered, for `standing`; of an older one it is only known that it was before the oldest of these. */
const withdrawalMarksMax = 1024;

interface Offered {
  readonly object: OpenedObject;
  readonly generation: Generation;
  readonly content: Hash;
  readonly bucket: number;
  /** No frame about it is later than this one; 0: it was offered from the beginning. */
  readonly seq: number;
}

/**
 * The publisher's half of replication, for one audience: turns successive states into frames, and answers fetches.
 * No I/O and no clock: time comes in as monotonic ms, messages go out as values.
 */
export class PublisherCore {
  readonly #names: LinkNames;
  readonly #start: Omit<StreamPosition, "seq">;
  readonly #startMs: number;
  /** What the frames up to `#seq` amount to; digests and answers speak of exactly this. */
  readonly #offered = new Map<string, Offered>();
  readonly #digests = new ObjectDigests();
  readonly #answers = new KeptAnswers();
  #answerCount = 0;
  /** By id, the frame by which an object ceased to be offered. */
  readonly #withdrawals = new Map<string, number>();
  /** The last frame of which a withdrawal may have been forgotten. */
  #forgottenSeq = 0;
  /** The state that was taken last. */
  #newest: ReadonlyMap<string, OpenedObject>;
  /** By id; undefined means withdrawn. */
  #pending = new Map<string, OpenedObject | undefined>();
  #isUrgent = false;
  #seq = 0;
  #revision: number;
  #pendingRevision: number;
  #flushedMs = Number.NEGATIVE_INFINITY;
  #sentMarks: { seq: number; readonly atMs: number }[] = [];
  #acknowledged: Acknowledgement | undefined;
  #needsReconcile = false;
  #witnessesRefused = 0;
  readonly #refusals = new StandingRefusals();

  /** The first state needs no frames: a receiver of a new stream compares digests. */
  constructor(names: LinkNames, start: Omit<StreamPosition, "seq">, initial: PublishedState, nowMs: number) {
    this.#names = names;
    this.#start = start;
    this.#startMs = nowMs;
    this.#revision = initial.revision;
    this.#pendingRevision = initial.revision;
    this.#newest = initial.objects;
    for (const [id, object] of initial.objects) this.#offer(id, object);
  }

  /** Where the stream stands now. */
  get position(): StreamPosition {
    return { ...this.#start, seq: this.#seq };
  }

  /** What heartbeats say of the whole offer, as of `position.seq`. */
  summary(): Required<Pick<Heartbeat, "digests" | "contentDigests" | "revision">> {
    return { ...this.#digests.bytes(), revision: this.#revision };
  }

  /** Takes the newest state. O(changes) where states share what they have in common, O(objects) otherwise. */
  update(state: PublishedState): void {
    const before = this.#newest;
    this.#newest = state.objects;
    this.#pendingRevision = state.revision;
    for (const id of changedKeys(before, state.objects)) this.#compare(id, state.objects.get(id));
    if (this.#pending.size > 0) return;
    this.#isUrgent = false;
    this.#revision = state.revision;
  }

  /** What is pending is what differs between the newest state and what is offered, whatever came between. */
  #compare(id: string, object: OpenedObject | undefined): void {
    const before = this.#offered.get(id);
    if (object !== undefined && (before === undefined || !isSame(before, object))) {
      this.#pending.set(id, object);
      this.#isUrgent ||= object.payload.tombstone;
      return;
    }
    if (object === undefined && before !== undefined) {
      this.#pending.set(id, undefined);
      // A tombstone that its owner lets go is no news to anybody.
      this.#isUrgent ||= !before.object.payload.tombstone;
      return;
    }
    this.#pending.delete(id);
    // By another key perhaps, whose certificate is good for longer: no news, but the form to answer with from now on.
    if (object !== undefined && before !== undefined && before.object !== object) this.#offered.set(id, { ...before, object });
  }

  /** How long `flush` may still wait, in ms; undefined when there is nothing to send. */
  flushDelayMs(nowMs: number): number | undefined {
    if (this.#pending.size === 0) return undefined;
    return this.#isUrgent ? 0 : Math.max(0, this.#flushedMs + batchWindowMs - nowMs);
  }

  /** The frames that bring a receiver from the last flush to the newest state. */
  flush(nowMs: number): readonly Frame[] {
    if (this.#pending.size === 0) return [];
    const packets = this.#pack();
    const frames = packets.map(({ entries, withdrawn }): Frame => {
      this.#seq++;
      return { ...this.#names, ...this.position, revision: this.#pendingRevision, entries, withdrawn };
    });
    for (const [id, object] of this.#pending) {
      if (object === undefined) this.#withdraw(id);
      else this.#offer(id, object);
    }
    this.#pending = new Map();
    this.#isUrgent = false;
    this.#revision = this.#pendingRevision;
    if (frames.length > 0) {
      this.#flushedMs = nowMs;
      this.#markSent(nowMs);
    }
    return frames;
  }

  /** What to say to a fetch. Parts of one answer are of one moment, however long the fetching takes. */
  answer(request: FetchRequest, nowMs: number): FetchAnswer {
    if (request.kind === "part") return this.#answers.part(request.answer, request.part, nowMs) ?? this.#answerOf([], request.answer, 0, 0, []);
    const buckets = this.#digests.differing(request);
    const packets = this.#packBuckets(new Set(buckets));
    this.#answerCount++;
    const id = `${this.#start.stream}.${this.#answerCount}`;
    const parts = packets.map((packet, part) => this.#answerOf(buckets, id, part, packets.length, packet.entries));
    if (parts.length > 1) this.#answers.keep(id, parts, nowMs);
    return parts[0] ?? this.#answerOf(buckets, id, 0, 1, []);
  }

  /** Lets go the answers that nobody fetches any more. */
  forgetAnswers(nowMs: number): void {
    this.#answers.forget(nowMs);
  }

  refuseWitness(): void {
    this.#witnessesRefused++;
  }

  /** False when it is about another stream, or tells nothing new. */
  acknowledge(acknowledgement: Acknowledgement, nowMs: number): boolean {
    const { stream, seq, refused } = acknowledgement;
    // Whoever needs an operator's decision applies no stream at all, and speaks of the last that it did.
    this.#needsReconcile = acknowledgement.needsReconcile;
    if (stream !== this.#start.stream || seq > this.#seq || seq < (this.#acknowledged?.seq ?? 0)) return false;
    this.#acknowledged = acknowledgement;
    this.#refusals.take(refused, nowMs);
    this.#sentMarks = this.#sentMarks.filter((mark) => mark.seq > seq);
    return true;
  }

  /** How far the receiver is behind at `nowMs`. */
  lag(nowMs: number): ReceiverLag {
    const acknowledged = this.#acknowledged;
    const sinceMs = acknowledged === undefined ? this.#startMs : this.#sentMarks[0]?.atMs;
    return {
      receiver: this.#names.audience,
      publishedSeq: this.#seq,
      acknowledgedSeq: acknowledged?.seq,
      behindMs: sinceMs === undefined ? 0 : nowMs - sinceMs,
      appliedAtMs: acknowledged?.appliedAtMs,
      needsReconcile: this.#needsReconcile,
      witnessesRefused: this.#witnessesRefused,
      refused: this.#refusals.at(nowMs),
    };
  }

  /** What the receiver is known to have of one object. O(1). */
  standing(id: string): ObjectStanding {
    const offered = this.#offered.get(id);
    const withdrawalSeq = this.#withdrawals.get(id);
    const seq = offered?.seq ?? withdrawalSeq ?? this.#forgottenSeq;
    const acknowledged = this.#acknowledged;
    const said = acknowledged?.refused.find((refused) => refused.id === id)?.reason;
    const refusal = offered !== undefined || said === heldBackReason ? said : undefined;
    // Where more may be refused or held back than is named, an acknowledgement says nothing for sure of what it does not name.
    const mayBeRefused =
      offered === undefined
        ? isFullOfHeldBack(acknowledged)
        : acknowledged?.mayRefuseMore === true || acknowledged?.refusedKinds.includes(offered.object.payload.kind) === true;
    const isSure = acknowledged !== undefined && !this.#needsReconcile && (refusal !== undefined || !mayBeRefused);
    return {
      generation: offered?.object.payload.generation,
      isWithdrawn: withdrawalSeq !== undefined,
      isAcknowledged: isSure && acknowledged.seq >= seq,
      ...(refusal === undefined ? {} : { refusal }),
    };
  }

  #offer(id: string, object: OpenedObject): void {
    const bucket = this.#offered.get(id)?.bucket ?? bucketOf(id);
    this.#retract(id);
    this.#withdrawals.delete(id);
    const offered = { object, generation: object.payload.generation, content: contentHash(object.signed), bucket, seq: this.#seq };
    this.#offered.set(id, offered);
    // Deleted keys stand outside the digests, so that letting a tombstone go changes nothing for anybody.
    if (!object.payload.tombstone) this.#digests.toggle(id, offered);
  }

  #withdraw(id: string): void {
    this.#retract(id);
    this.#withdrawals.set(id, this.#seq);
    for (const [oldest, seq] of this.#withdrawals) {
      if (this.#withdrawals.size <= withdrawalMarksMax) break;
      this.#withdrawals.delete(oldest);
      this.#forgottenSeq = Math.max(this.#forgottenSeq, seq);
    }
  }

  #retract(id: string): void {
    const before = this.#offered.get(id);
    if (before === undefined) return;
    this.#offered.delete(id);
    if (!before.object.payload.tombstone) this.#digests.toggle(id, before);
  }

  #pack(): readonly Packet[] {
    const packer = new FramePacker();
    for (const [id, object] of this.#pending) {
      if (object !== undefined) packer.entry(object.signed);
      else if (this.#offered.get(id)?.object.payload.tombstone === false) packer.withdrawal(id);
    }
    return packer.packets;
  }

  #packBuckets(buckets: ReadonlySet<number>): readonly Packet[] {
    const packer = new FramePacker();
    for (const { object, bucket } of this.#offered.values()) {
      if (buckets.has(bucket)) packer.entry(object.signed);
    }
    return packer.packets;
  }

  #answerOf(buckets: readonly number[], answer: string, part: number, parts: number, entries: readonly SignedObject[]): FetchAnswer {
    return { ...this.#names, ...this.position, revision: this.#revision, buckets: Uint8Array.from(buckets), answer, part, parts, entries };
  }

  #markSent(nowMs: number): void {
    const last = this.#sentMarks.at(-1);
    // When full, newer frames count from the last mark: the lag shown is then too long, never too short.
    if (last !== undefined && this.#sentMarks.length >= sentMarksMax) last.seq = this.#seq;
    else this.#sentMarks.push({ seq: this.#seq, atMs: nowMs });
  }
}

function isFullOfHeldBack(acknowledged: Acknowledgement | undefined): boolean {
  return acknowledged !== undefined && acknowledged.refused.length >= refusedNamedMax && acknowledged.refused.every(({ reason }) => reason === heldBackReason);
}

/** The same generation may have another content: of a newer program, or of a store that was rolled back. */
function isSame({ object, generation, content }: Offered, next: OpenedObject): boolean {
  return object === next || (compareGenerations(generation, next.payload.generation) === 0 && isSameHash(content, contentHash(next.signed)));
}
