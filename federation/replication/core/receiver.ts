import { answerGeneration } from "#federation/model/replication-messages.ts";
import type { FetchAnswer, FetchRequest, Frame, Heartbeat, LinkNames, StreamPosition } from "#federation/model/replication-messages.ts";
import { compareGenerations, isInAudience, objectId } from "#federation/model/replicated-object.ts";
import type { ObjectPayload, OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import { RefusedObjects } from "./refused-objects.ts";
import { ReplicaRecords } from "./replica-records.ts";
import type { ReplicaChange, ReplicaCursor, ReplicaState } from "./replica-state.ts";

/** Why something was not applied; each is a counter. */
export type RefusalReason =
  /** Not for this federation, not from this publisher, or not to this receiver. */
  | "link"
  /** A stream of an earlier term or epoch. */
  | "staleStream"
  /** A frame whose changes are applied already: the bus duplicates and reorders. */
  | "duplicate"
  /** An object of another federation, or of an origin that this publisher may not speak for. */
  | "origin"
  /** An object that is not meant for us. */
  | "audience"
  /** An object that could not be read or whose signature or chain is not good. */
  | "signature"
  /** A generation not above the last applied one of that key. */
  | "revision"
  /** An unknown key of the publisher's own, at or under the floor. */
  | "floor"
  /** An answer that reflects less of the publisher's store than we already had from it: it was rolled back. */
  | "rollback"
  /** An answer that does not fit the question or is older than what we have. */
  | "staleAnswer";

/** Who a receiver listens to, and what it takes. */
export interface ReceiverRules {
  readonly names: LinkNames;
  /** `publisher`: only objects whose origin is the publisher itself; `any`: it relays. */
  readonly origins: "publisher" | "any";
  /** Names by which we are meant in an object's audience; absent: every audience is passed on. */
  readonly audienceNames?: readonly string[];
  /** A further condition, e.g. the namespaces a cluster may export. */
  readonly admits?: (payload: ObjectPayload) => boolean;
  /** Reads the header without trusting it; undefined when it cannot be read. */
  readonly open: (signed: SignedObject) => OpenedObject | undefined;
  /** True when the object is what its origin signed. Asked only of objects that would change something. */
  readonly isAuthentic: (object: OpenedObject) => boolean;
}

/** What must be made durable before anything is acknowledged. */
export interface ReceiverStep {
  readonly changes: readonly ReplicaChange[];
  /** Present when the position moved, with or without changes. */
  readonly cursor?: ReplicaCursor;
}

/** How long a missing frame may still be on its way, in ms. */
export const gapGraceMs = 200;

/** Frames kept while an earlier one is missing. Each is at most 256 KiB. */
const heldFramesMax = 64;

/** Between two fetches that change nothing, in ms: from, to. */
const fetchBackoffMs = [200, 30_000] as const;

const nothing: ReceiverStep = { changes: [] };

/**
 * The receiver's half of replication, for one publisher.
 *
 * ```
 *            frame seq+1                    frame of a gap, heartbeat ahead: wait gapGraceMs
 *          ┌────────────┐                 ┌──────────────────────────────────────────────┐
 *          └─▶ following ─────────────────┘──▶ still missing ──┐
 *                  ▲   └── digests differ at the same seq ─────┤
 *                  │   └── newer term or other stream ─────────┼──▶ fetch is due ── answer ──┐
 *                  └───────────────────────────────────────────┴───────────────────────────────┘
 * ```
 * A stream is adopted only out of an answer to one's own fetch. No I/O and no clock: time comes in as monotonic ms.
 */
export class ReceiverCore {
  readonly #rules: ReceiverRules;
  readonly #records: ReplicaRecords;
  readonly #held = new Map<number, Frame>();
  readonly #refused = new Map<RefusalReason, number>();
  readonly #refusedObjects = new RefusedObjects();
  #cursor: ReplicaCursor;
  #gapSinceMs: number | undefined;
  #isFetchWanted = false;
  #fetchNotBeforeMs = Number.NEGATIVE_INFINITY;
  #backoffMs: number = fetchBackoffMs[0];
  #needsReconcile = false;

  constructor(rules: ReceiverRules, state: ReplicaState) {
    this.#rules = rules;
    this.#cursor = state.cursor;
    this.#records = new ReplicaRecords(state);
  }

  get cursor(): ReplicaCursor {
    return this.#cursor;
  }

  /** True after the publisher's store was seen behind what it had told us; ends with an answer that is not. */
  get needsReconcile(): boolean {
    return this.#needsReconcile;
  }

  /** True while something is known to be missing. */
  get isBehind(): boolean {
    return this.#isFetchWanted || this.#gapSinceMs !== undefined || this.#cursor.stream === "";
  }

  /** How often each reason was met since the start. */
  get refused(): ReadonlyMap<RefusalReason, number> {
    return this.#refused;
  }

  /** What is offered at the present position and not held. */
  get refusedObjects(): Pick<RefusedObjects, "named" | "kinds" | "mayBeMore"> {
    return this.#refusedObjects;
  }

  onFrame(frame: Frame, nowMs: number): ReceiverStep {
    if (!this.#isOurLink(frame) || !this.#isCurrentStream(frame)) return nothing;
    if (frame.seq <= this.#cursor.seq) {
      this.#refuse("duplicate");
      return nothing;
    }
    if (frame.seq > this.#cursor.seq + 1) {
      this.#hold(frame, nowMs);
      return nothing;
    }
    const changes: ReplicaChange[] = [];
    for (let next: Frame | undefined = frame; next !== undefined; next = this.#held.get(this.#cursor.seq + 1)) {
      this.#held.delete(next.seq);
      changes.push(...this.#applyFrame(next));
    }
    this.#gapSinceMs = this.#held.size === 0 ? undefined : nowMs;
    return { changes, cursor: this.#cursor };
  }

  /** Digests are compared only at the very seq that we have applied. */
  onHeartbeat(heartbeat: Heartbeat, nowMs: number): "equal" | "ahead" | "differs" | "ignored" {
    if (!this.#isOurLink(heartbeat) || !this.#isCurrentStream(heartbeat)) return "ignored";
    if (heartbeat.seq < this.#cursor.seq) return "ignored";
    if (heartbeat.seq > this.#cursor.seq) {
      this.#gapSinceMs ??= nowMs;
      return "ahead";
    }
    this.#gapSinceMs = undefined;
    if (this.#records.digests.differing(heartbeat.digests).length > 0) {
      this.#isFetchWanted = true;
      return "differs";
    }
    this.#isFetchWanted = false;
    this.#backoffMs = fetchBackoffMs[0];
    this.#refusedObjects.clear();
    return "equal";
  }

  /** In how many ms `fetch` has something to say; undefined when nothing is missing. */
  fetchDelayMs(nowMs: number): number | undefined {
    const gapEndsMs = this.#gapSinceMs === undefined ? undefined : this.#gapSinceMs + gapGraceMs;
    if (!this.#isFetchWanted && gapEndsMs === undefined) return undefined;
    const dueMs = this.#isFetchWanted ? nowMs : (gapEndsMs ?? nowMs);
    return Math.max(0, Math.max(dueMs, this.#fetchNotBeforeMs) - nowMs);
  }

  /** The question to ask now. Until its answer is in, nothing else may be given to this core. */
  fetch(nowMs: number): FetchRequest {
    // Each try waits longer than the last, until one brings something or a heartbeat finds us equal.
    this.#fetchNotBeforeMs = nowMs + this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, fetchBackoffMs[1]);
    return { kind: "differing", digests: this.#records.digests.bytes() };
  }

  /** All parts of the answer to `fetch`, in order. */
  onAnswer(parts: readonly FetchAnswer[]): ReceiverStep {
    const first = parts[0];
    if (first === undefined || !parts.every((part, index) => isPartOf(part, index, first, parts.length))) return this.#refuseAnswer("staleAnswer");
    if (!this.#isOurLink(first)) return nothing;
    const age = compareTerms(first, this.#cursor);
    if (age < 0 || (first.stream === this.#cursor.stream && first.seq < this.#cursor.seq)) return this.#refuseAnswer("staleAnswer");
    const upTo = answerGeneration(first);
    if (compareGenerations(upTo, this.#cursor.floor) < 0) {
      this.#needsReconcile = true;
      return this.#refuseAnswer("rollback");
    }
    this.#needsReconcile = false;
    this.#isFetchWanted = false;
    this.#gapSinceMs = undefined;
    if (first.stream !== this.#cursor.stream) this.#held.clear();
    const changes = this.#applyAnswer(parts, first);
    const isProgress = changes.length > 0 || first.stream !== this.#cursor.stream || first.seq > this.#cursor.seq;
    if (isProgress) this.#backoffMs = fetchBackoffMs[0];
    this.#cursor = { epoch: first.epoch, term: first.term, stream: first.stream, seq: first.seq, floor: upTo };
    this.#records.forget(this.#rules.names.publisher, upTo);
    for (const seq of this.#held.keys()) if (seq <= first.seq) this.#held.delete(seq);
    return { changes, cursor: this.#cursor };
  }

  #applyFrame(frame: Frame): readonly ReplicaChange[] {
    const changes: ReplicaChange[] = [];
    for (const signed of frame.entries) {
      const { change } = this.#admit(signed, "frame");
      if (change !== undefined) changes.push(change);
    }
    for (const id of frame.withdrawn) {
      this.#refusedObjects.delete(id);
      const change = this.#records.remove(id, "withdrawn");
      if (change !== undefined) changes.push(change);
    }
    this.#cursor = { ...this.#cursor, seq: frame.seq };
    return changes;
  }

  /** Takes what the answer holds, and removes what its buckets do not hold, but never a key of the publisher's own that is newer than the answer. */
  #applyAnswer(parts: readonly FetchAnswer[], first: FetchAnswer): readonly ReplicaChange[] {
    const changes: ReplicaChange[] = [];
    const offered = new Set<string>();
    // Whatever is offered and not held makes its bucket differ, so that the answer holds all of it once more.
    this.#refusedObjects.clear();
    for (const signed of parts.flatMap((part) => part.entries)) {
      const { id, change } = this.#admit(signed, "answer");
      if (id !== undefined) offered.add(id);
      if (change !== undefined) changes.push(change);
    }
    const upTo = answerGeneration(first);
    for (const { id, generation } of this.#records.inBuckets(first.buckets)) {
      if (offered.has(id)) continue;
      const isOwn = id.startsWith(`${this.#rules.names.publisher}/`);
      if (isOwn && compareGenerations(generation, upTo) > 0) {
        this.#needsReconcile = true;
        this.#refuse("rollback");
        continue;
      }
      const change = this.#records.remove(id, isOwn ? "swept" : "withdrawn");
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  /**
   * Everything that is asked of one object; the signature last, since it costs most and what changes nothing needs none.
   * `id` is absent when the publisher should not have offered the object at all.
   */
  #admit(signed: SignedObject, source: "frame" | "answer"): { readonly id?: string; readonly change?: ReplicaChange } {
    const object = this.#rules.open(signed);
    if (object === undefined) {
      this.#refusedObjects.addUnknown();
      return this.#refuse("signature");
    }
    const { payload } = object;
    const { names, origins, audienceNames, admits, isAuthentic } = this.#rules;
    const isOwn = payload.origin === names.publisher;
    const id = objectId(payload);
    if (payload.federation !== names.federation || (origins === "publisher" && !isOwn)) return this.#refuseObject("origin", id, payload);
    if (audienceNames !== undefined && !isInAudience(payload.audience, audienceNames)) return this.#refuseObject("audience", id, payload);
    if (admits !== undefined && !admits(payload)) return this.#refuseObject("origin", id, payload);
    const verdict = this.#records.judge(id, payload.generation);
    if (verdict === "held") {
      this.#refusedObjects.delete(id);
      return { id };
    }
    if (verdict === "old") return { id, ...this.#refuseObject("revision", id, payload) };
    const isUnderFloor = isOwn && verdict === "unknown" && compareGenerations(payload.generation, this.#cursor.floor) <= 0;
    // An answer says what there is; a frame under the floor can only be an echo.
    if (isUnderFloor && source === "frame") return { id, ...this.#refuseObject("floor", id, payload) };
    if (!isAuthentic(object)) return { id, ...this.#refuseObject("signature", id, payload) };
    this.#refusedObjects.delete(id);
    const change = payload.tombstone ? this.#records.bury(id, payload.generation) : this.#records.put(id, object);
    return change === undefined ? { id } : { id, change };
  }

  #isOurLink({ federation, publisher, audience }: LinkNames): boolean {
    const { names } = this.#rules;
    const isOurs = federation === names.federation && publisher === names.publisher && audience === names.audience;
    if (!isOurs) this.#refuse("link");
    return isOurs;
  }

  #isCurrentStream(position: StreamPosition): boolean {
    if (position.stream === this.#cursor.stream) return true;
    if (compareTerms(position, this.#cursor) < 0) this.#refuse("staleStream");
    else this.#isFetchWanted = true;
    return false;
  }

  #hold(frame: Frame, nowMs: number): void {
    this.#gapSinceMs ??= nowMs;
    if (this.#held.size < heldFramesMax) this.#held.set(frame.seq, frame);
    else this.#isFetchWanted = true;
  }

  #refuse(reason: RefusalReason): Record<string, never> {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    return {};
  }

  #refuseObject(reason: RefusalReason, id: string, { kind }: ObjectPayload): Record<string, never> {
    this.#refusedObjects.add({ id, kind }, reason);
    return this.#refuse(reason);
  }

  #refuseAnswer(reason: RefusalReason): ReceiverStep {
    this.#refuse(reason);
    // Asked again after the backoff: the publisher may have been replaced in the meantime.
    this.#isFetchWanted = true;
    return nothing;
  }
}

function isPartOf(part: FetchAnswer, index: number, first: FetchAnswer, count: number): boolean {
  return part.parts === count && part.part === index && part.answer === first.answer && part.stream === first.stream && part.seq === first.seq;
}

function compareTerms(a: Pick<StreamPosition, "epoch" | "term">, b: Pick<StreamPosition, "epoch" | "term">): number {
  return a.epoch === b.epoch ? a.term - b.term : a.epoch - b.epoch;
}
