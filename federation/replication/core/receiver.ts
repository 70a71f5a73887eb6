import { answerGeneration, isWholeAnswer } from "#federation/model/replication-messages.ts";
import type { FetchAnswer, FetchRequest, Frame, Heartbeat, LinkNames, StreamPosition } from "#federation/model/replication-messages.ts";
import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { SignedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { FetchSchedule } from "./fetch-schedule.ts";
import { Incarnations, type Doubled } from "./incarnations.ts";
import { KeptWitness } from "./kept-witness.ts";
import { judgeObject, type ObjectVerdict } from "./object-admission.ts";
import type { ReceiverRules } from "./receiver-rules.ts";
import type { RefusalReason } from "./refusal-reason.ts";
import { RefusedObjects } from "./refused-objects.ts";
import { ReplicaRecords } from "./replica-records.ts";
import { compareTerms, type HeldObject, type ReplicaChange, type ReplicaCursor, type ReplicaState, type GivenUp, type Witness } from "./replica-state.ts";
import { RollbackGuard, type HeardHeartbeat } from "./rollback-guard.ts";
import { WithdrawalBrake } from "./withdrawal-brake.ts";

/** What must be made durable before anything is acknowledged. */
export interface ReceiverStep {
  readonly changes: readonly ReplicaChange[];
  /** Present when the position moved, with or without changes. */
  readonly cursor?: ReplicaCursor;
}

/** Frames kept while an earlier one is missing. Each is at most 256 KiB. */
const heldFramesMax = 64;

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
  readonly #fetches = new FetchSchedule();
  readonly #guard: RollbackGuard;
  readonly #kept = new KeptWitness();
  readonly #incarnations: Incarnations;
  readonly #brake: WithdrawalBrake;
  /** When the last question was asked: nothing else comes in before its answer. */
  #askedMs = Number.NEGATIVE_INFINITY;
  /** When the last answer that was applied was there. Heartbeats that came before may be taken after it. */
  #answeredMs = Number.NEGATIVE_INFINITY;
  /** Highest generation of the publisher's own objects that was ever held. */
  #known: Generation;
  #rewritten = 0;
  /** The last heartbeat that came while another incarnation than its own might still speak. */
  #noticed: { readonly heartbeat: Heartbeat; readonly heard: HeardHeartbeat } | undefined;

  constructor(rules: ReceiverRules, state: ReplicaState) {
    this.#rules = rules;
    this.#cursor = state.cursor;
    this.#records = new ReplicaRecords(state);
    this.#guard = new RollbackGuard(state.cursor);
    this.#incarnations = new Incarnations(state.cursor.epoch);
    this.#brake = new WithdrawalBrake(rules.brake, { publisher: rules.names.publisher, records: this.#records, wasHolding: state.cursor.isHoldingBack === true });
    this.#known = { epoch: 0, revision: 0 };
    for (const [id, held] of state.live) this.restore(id, held);
  }

  /** Holds what its store held, too: before anything else comes. */
  restore(id: string, held: HeldObject): void {
    this.#records.hold(id, held);
    this.#know(id, held.generation);
  }

  get cursor(): ReplicaCursor {
    return this.#cursor;
  }

  /** True while nothing is applied, since the publisher's store was or may be behind what it had told us. */
  get needsReconcile(): boolean {
    return this.#guard.isStopping;
  }

  /** Present when that is beyond doubt: it ends with an answer of a higher epoch, which begins by an operator's decision alone. */
  get behind(): GivenUp | undefined {
    return this.#guard.behind;
  }

  /** Present while the publisher is two processes, of which none is believed: until one is silent, or a higher epoch begins. */
  get doubled(): Doubled | undefined {
    return this.#incarnations.doubled;
  }

  /** What another incarnation than that of `heartbeat` has said last. */
  rivalOf(heartbeat: Heartbeat, nowMs: number): Uint8Array | undefined {
    return this.#incarnations.rivalOf(heartbeat, nowMs);
  }

  /** What the publisher has to be shown then. */
  get witness(): Witness | undefined {
    return this.#guard.witness;
  }

  /** How many objects were taken anew at the generation that was held, with another content. */
  get rewritten(): number {
    return this.#rewritten;
  }

  /** By id, what the publisher has withdrawn and is held all the same, until it is explained or let go. */
  get heldBack(): ReadonlyMap<string, HeldObject> {
    return this.#records.heldBack;
  }

  /** True while something is known to be missing. */
  get isBehind(): boolean {
    return this.#guard.isStopping || this.#incarnations.isStopping || this.#fetches.isMissing || this.#cursor.stream === "";
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
    if (!this.#isOurLink(frame)) return nothing;
    if (this.#incarnations.isStopping) return this.#askNothing("doubled");
    if (!this.#isCurrentStream(frame, nowMs)) return nothing;
    if (this.#guard.isStopping) {
      this.#refuse("rollback");
      return nothing;
    }
    if (frame.seq <= this.#cursor.seq) {
      this.#refuse("duplicate");
      return nothing;
    }
    if (frame.seq > this.#cursor.seq + 1) {
      this.#holdFrame(frame, nowMs);
      return nothing;
    }
    const changes: ReplicaChange[] = [];
    for (let next: Frame | undefined = frame; next !== undefined; next = this.#held.get(this.#cursor.seq + 1)) {
      this.#held.delete(next.seq);
      if (this.#guard.isFrameBehind(next, next.revision, this.#known)) {
        this.#suspect();
        break;
      }
      changes.push(...this.#applyFrame(next, nowMs));
    }
    this.#fetches.followed(this.#held.size > 0, nowMs);
    return { changes, cursor: this.#cursor };
  }

  /** Digests are compared only at the very seq that we have applied. */
  onHeartbeat(heartbeat: Heartbeat, heard: HeardHeartbeat): "equal" | "ahead" | "differs" | "behind" | "doubled" | "ignored" {
    if (!this.#isOurLink(heartbeat)) return "ignored";
    const { nowMs } = heard;
    const verdict = this.#incarnations.hear(heartbeat, heard);
    // The one of two says nothing of the other's store.
    if (verdict === "over" ? !this.#incarnations.isSpeaking(nowMs) : verdict === "sole" && !this.#incarnations.isHeldUp(heartbeat, nowMs)) this.#judge(heartbeat, heard);
    else if (verdict === "sole") {
      this.#guard.notice(heartbeat);
      this.#noticed = { heartbeat, heard };
    }
    if (this.#incarnations.isStopping) {
      this.#askNothing("doubled");
      return "doubled";
    }
    if (!this.#isCurrentStream(heartbeat, nowMs)) return "ignored";
    if (this.#guard.isStopping) return "behind";
    if (heartbeat.seq < this.#cursor.seq) return "ignored";
    if (heartbeat.seq > this.#cursor.seq) {
      this.#fetches.gap(nowMs);
      return "ahead";
    }
    this.#fetches.followed(false, nowMs);
    if (this.#records.digests.differing(heartbeat).length > 0) {
      this.#fetches.want();
      return "differs";
    }
    this.#fetches.clear();
    if (this.#records.heldBack.size > 0) this.#fetches.review();
    else this.#fetches.progressed();
    this.#refusedObjects.clear();
    this.#brake.answered();
    this.#markHolding();
    return "equal";
  }

  /** In how many ms `fetch` has something to say; undefined when nothing is missing. */
  fetchDelayMs(nowMs: number): number | undefined {
    return this.#fetches.delayMs(nowMs);
  }

  /** The question to ask now. Until its answer is in, nothing but an operator's word may be given to this core. */
  fetch(nowMs: number): FetchRequest {
    this.#fetches.asked(nowMs);
    this.#askedMs = nowMs;
    return { kind: "differing", ...this.#records.asked() };
  }

  /** All parts of the answer to `fetch`, in order. */
  onAnswer(parts: readonly FetchAnswer[], nowMs: number): ReceiverStep {
    const first = parts[0];
    if (first === undefined || !isWholeAnswer(parts)) return this.#refuseAnswer("staleAnswer");
    if (!this.#isOurLink(first)) return nothing;
    if (this.#incarnations.isStopping) return this.#askNothing("doubled");
    const isOther = first.stream !== this.#cursor.stream;
    if (isOther && !this.#mayFollow(first, this.#askedMs)) return this.#refuseAnswer("staleAnswer");
    const age = compareTerms(first, this.#cursor);
    if (age < 0 || (first.stream === this.#cursor.stream && first.seq < this.#cursor.seq)) return this.#refuseAnswer("staleAnswer");
    const upTo = answerGeneration(first);
    if (this.#guard.isGivenUp(upTo.epoch)) return this.#askNothing("rollback");
    if (compareGenerations(upTo, this.#cursor.floor) < 0 || this.#guard.isBehind(upTo, this.#known)) {
      this.#guard.suspect();
      return this.#refuseAnswer("rollback");
    }
    this.#guard.trust(upTo.epoch);
    this.#answeredMs = nowMs;
    this.#fetches.clear();
    if (first.stream !== this.#cursor.stream) this.#held.clear();
    const changes = this.#applyAnswer(parts, first);
    const isProgress = changes.length > 0 || first.stream !== this.#cursor.stream || first.seq > this.#cursor.seq;
    if (isProgress) this.#fetches.progressed();
    this.#cursor = { epoch: first.epoch, term: first.term, stream: first.stream, seq: first.seq, floor: upTo, ...witnessOf(this.#cursor) };
    this.#markHolding();
    this.#records.forget(this.#rules.names.publisher, upTo);
    for (const seq of this.#held.keys()) if (seq <= first.seq) this.#held.delete(seq);
    return { changes, cursor: this.#cursor };
  }

  /** An operator's word: what is held back goes, and so does what the first answers of epochs up to `epoch` do not hold. At any time: what is held back is in no digest that was asked by. */
  letGo(epoch?: number): ReceiverStep {
    const changes = this.#brake.letGo(epoch);
    this.#markHolding();
    return { changes, cursor: this.#cursor };
  }

  #applyFrame(frame: Frame, nowMs: number): readonly ReplicaChange[] {
    const changes: ReplicaChange[] = [];
    for (const signed of frame.entries) {
      const { change } = this.#admit(signed, "frame");
      if (change !== undefined) changes.push(change);
    }
    for (const id of frame.withdrawn) this.#refusedObjects.delete(id);
    changes.push(...this.#brake.remove(frame.withdrawn.map((id) => ({ id, reason: "withdrawn" })), { nowMs }));
    this.#cursor = { ...this.#cursor, seq: frame.seq };
    this.#markHolding();
    return changes;
  }

  /** Takes what the answer holds, and removes what its buckets do not hold. No key of the publisher's own is newer than the answer: it would have been from behind. */
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
    const gone = this.#records.inBuckets(first.buckets).filter((id) => !offered.has(id));
    const newEpoch = first.epoch > this.#cursor.epoch ? first.epoch : undefined;
    changes.push(...this.#brake.remove(gone.map((id) => ({ id, reason: this.#isOwn(id) ? "swept" : "withdrawn" })), { nowMs: this.#askedMs, newEpoch }));
    this.#brake.answered();
    return changes;
  }

  /** So that a restart finds held what is held back now. */
  #markHolding(): void {
    const { isHoldingBack, ...rest } = this.#cursor;
    if (this.#brake.isHolding !== (isHoldingBack === true)) this.#cursor = this.#brake.isHolding ? { ...rest, isHoldingBack: true } : rest;
  }

  /** `id` is absent when the publisher should not have offered the object at all. */
  #admit(signed: SignedObject, source: "frame" | "answer"): { readonly id?: string; readonly change?: ReplicaChange } {
    const verdict = judgeObject(signed, source, { rules: this.#rules, records: this.#records, floor: this.#cursor.floor });
    if (verdict.kind === "unreadable") {
      this.#refuse("signature");
      this.#refusedObjects.addUnknown();
      return {};
    }
    if (verdict.kind === "refused") {
      this.#refuseObject(verdict);
      return verdict.isOffered ? { id: verdict.id } : {};
    }
    if (verdict.kind === "taken") return this.#hold(verdict);
    this.#records.retake(verdict.id);
    this.#refusedObjects.delete(verdict.id);
    return { id: verdict.id };
  }

  #refuseObject({ id, object, reason }: Extract<ObjectVerdict, { kind: "refused" }>): void {
    this.#refuse(reason);
    this.#refusedObjects.add({ id, kind: object.payload.kind }, reason);
    if (reason === "content") this.#fetches.want();
  }

  #hold({ id, object, content, isRewritten }: Extract<ObjectVerdict, { kind: "taken" }>): { readonly id: string; readonly change?: ReplicaChange } {
    const { generation, tombstone } = object.payload;
    this.#refusedObjects.delete(id);
    if (isRewritten) this.#rewritten++;
    this.#know(id, generation);
    const change = tombstone ? this.#records.bury(id, generation) : this.#records.put(id, object, content);
    return change === undefined ? { id } : { id, change };
  }

  #isOurLink({ federation, publisher, audience }: LinkNames): boolean {
    const { names } = this.#rules;
    const isOurs = federation === names.federation && publisher === names.publisher && audience === names.audience;
    if (!isOurs) this.#refuse("link");
    return isOurs;
  }

  #isCurrentStream(position: StreamPosition, nowMs: number): boolean {
    // A stream may go on for a moment after an operator has begun another epoch.
    const isOver = position.epoch < (this.#guard.witness?.epoch ?? 0);
    if (position.stream === this.#cursor.stream && !isOver) return true;
    if (isOver || compareTerms(position, this.#cursor) < 0) this.#refuse("staleStream");
    else if (!this.#guard.isGivenUp(position.epoch) && this.#mayFollow(position, nowMs)) this.#fetches.want();
    return false;
  }

  /**
   * Whether a stream that is not followed may be. What its publisher had said while another one might still speak counts from then on: whatever is
   * applied of an incarnation, its word of how far its store has come is kept.
   */
  #mayFollow(position: StreamPosition, nowMs: number): boolean {
    if (this.#incarnations.isHeldUp(position, nowMs)) return false;
    const noticed = this.#noticed;
    if (noticed?.heartbeat.stream === position.stream) this.#judge(noticed.heartbeat, noticed.heard);
    return this.#guard.mayFollow(position);
  }

  /** Holds a signed heartbeat against what the publisher has signed before, and sees to it that what follows outlives a restart. */
  #judge(heartbeat: Heartbeat, heard: HeardHeartbeat): void {
    if (this.#noticed?.heartbeat.stream === heartbeat.stream) this.#noticed = undefined;
    // One that a frame or an answer has overtaken need not know of its objects.
    const isOvertaken = heartbeat.stream === this.#cursor.stream ? heartbeat.seq < this.#cursor.seq : heard.nowMs < this.#answeredMs;
    this.#guard.hear(heartbeat, { cursor: this.#cursor, known: isOvertaken ? { epoch: 0, revision: 0 } : this.#known, heard });
    const { behind, witness } = this.#guard;
    const { floor } = this.#cursor;
    const isNewest = witness?.stream === heartbeat.stream && witness.beat === heartbeat.beat;
    // Nobody signs answers: one that claimed more than its publisher says later would have all others refused.
    if (isNewest && !isOvertaken && heartbeat.stream === this.#cursor.stream && compareGenerations(floor, witness) > 0) {
      this.#cursor = { ...this.#cursor, floor: { epoch: witness.epoch, revision: witness.revision } };
    }
    if (behind !== undefined && this.#cursor.behind === undefined) this.#askNothing("rollback");
    this.#cursor = this.#kept.keep(this.#cursor, this.#guard, heard.nowMs);
  }

  /** Something unsigned is from behind: an answer to our own question says more. */
  #suspect(): void {
    this.#refuse("rollback");
    this.#guard.suspect();
    this.#held.clear();
    this.#fetches.want();
  }

  /** Until another epoch begins, or one of the publisher's incarnations is left. */
  #askNothing(reason: RefusalReason): ReceiverStep {
    this.#refuse(reason);
    this.#held.clear();
    this.#fetches.clear();
    return nothing;
  }

  #know(id: string, generation: Generation): void {
    if (this.#isOwn(id) && compareGenerations(generation, this.#known) > 0) this.#known = generation;
  }

  #isOwn(id: string): boolean {
    return id.startsWith(`${this.#rules.names.publisher}/`);
  }

  #holdFrame(frame: Frame, nowMs: number): void {
    this.#fetches.gap(nowMs);
    if (this.#held.size < heldFramesMax) this.#held.set(frame.seq, frame);
    else this.#fetches.want();
  }

  #refuse(reason: RefusalReason): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  #refuseAnswer(reason: RefusalReason): ReceiverStep {
    this.#refuse(reason);
    // Asked again after the backoff: the publisher may have been replaced in the meantime.
    this.#fetches.want();
    return nothing;
  }
}

function witnessOf({ witness }: ReplicaCursor): Pick<ReplicaCursor, "witness"> {
  return witness === undefined ? {} : { witness };
}
