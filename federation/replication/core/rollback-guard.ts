import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Heartbeat, StreamPosition } from "#federation/model/replication-messages.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { compareTerms, type ReplicaCursor, type GivenUp, type Witness } from "./replica-state.ts";

/** How a heartbeat came in. */
export interface HeardHeartbeat {
  /** Monotonic ms. */
  readonly nowMs: number;
  /** Wall-clock ms. */
  readonly wallMs: number;
  /** The signed bytes. */
  readonly encoded: Uint8Array;
}

/** Where a heartbeat stands to the last one that was believed. */
type Order =
  /** Of the same life of the publisher, and later; or of a higher epoch. */
  | "later"
  /** Of a later life. */
  | "successor"
  /** Of an earlier term, or of another life of the same one; but signed later. */
  | "unordered"
  /** Known, or replayed. */
  | "late";

/**
 * Heartbeats in a row that must show it. One life of a publisher cannot fall behind itself. After a change of leaders the earlier one may
 * for a moment have seen more than its successor. An earlier leader that does not know that it is over goes on for as long as its lease,
 * five seconds, and its successor is heard meanwhile.
 */
const seenMin: Readonly<Record<Exclude<Order, "late">, number>> = { later: 1, successor: 2, unordered: 5 };

/**
 * Judges whether a publisher's store is behind what the publisher has told us. What is signed decides: its heartbeats against the furthest
 * one (the witness), and against its own objects that are held. What is not signed, frames and answers, only suspends.
 *
 * ```
 *   sound ── unsigned word from behind, first heartbeat of a successor ──▶ suspected ── signed again ──▶ behind
 *     ▲  ▲                                                                     │                           │
 *     │  └────────── a heartbeat or an answer that is not behind ──────────────┘                           │
 *     └──────────────────────────── an answer of a higher epoch ───────────────────────────────────────────┘
 * ```
 * Behind, nothing of the epoch counts any more, however far its numbers come: positions have been given out twice.
 */
export class RollbackGuard {
  #witness: Witness | undefined;
  #behind: GivenUp | undefined;
  #isSuspected = false;
  /** The stream of the last heartbeat that was heard, and whether its incarnation lacks what another had written. */
  #heard: { readonly stream: string; readonly hasForgotten: boolean } | undefined;
  #evidence: { readonly stream: string; readonly beat: number; readonly seen: number } | undefined;

  constructor({ witness, behind }: Pick<ReplicaCursor, "witness" | "behind">) {
    this.#witness = witness;
    this.#behind = behind;
  }

  /** The heartbeat of the highest position. */
  get witness(): Witness | undefined {
    return this.#witness;
  }

  /** Since the publisher was seen behind beyond doubt. */
  get behind(): GivenUp | undefined {
    return this.#behind;
  }

  /** True while nothing may be applied. */
  get isStopping(): boolean {
    return this.#isSuspected || this.#behind !== undefined;
  }

  /** True for what belongs to a history that is given up. */
  isGivenUp(epoch: number): boolean {
    return this.#behind !== undefined && epoch <= this.#behind.epoch;
  }

  /**
   * Takes note of a verified heartbeat that is not believed yet, since another incarnation was heard just now. It is no evidence of the
   * store's, and keeps what it has forgotten from being applied.
   */
  notice(heartbeat: Heartbeat): void {
    const witness = this.#witness;
    this.#heard = { stream: heartbeat.stream, hasForgotten: witness !== undefined && hasForgotten(heartbeat, witness) };
  }

  /** Whether an answer of another stream than the one that is followed may be applied: its publisher has said at which position it found its store, and lacks nothing. */
  mayFollow({ stream, epoch }: StreamPosition): boolean {
    const witness = this.#witness;
    if (witness?.written === undefined || epoch !== witness.epoch) return true;
    return this.#heard?.stream === stream && !this.#heard.hasForgotten;
  }

  /** Takes a verified heartbeat. `known` is the highest generation of the publisher's own objects that it must know of. */
  hear(heartbeat: Heartbeat, { cursor, known, heard }: { readonly cursor: ReplicaCursor; readonly known: Generation; readonly heard: HeardHeartbeat }): void {
    const { epoch, term, stream, seq, beat, sentAtMs, revision, incarnation, written } = heartbeat;
    this.notice(heartbeat);
    if (revision === undefined || this.isGivenUp(epoch)) return;
    const last = this.#witness;
    const said = last === undefined ? orderWithout(heartbeat, cursor) : orderOf(heartbeat, last);
    if (said === "late") return;
    // Of a leader whose successor is followed already: what is known by now may be the successor's.
    const order = heartbeat.stream !== cursor.stream && compareTerms(heartbeat, cursor) < 0 ? "unordered" : said;
    const isBehind = (last !== undefined && (compareTerms(heartbeat, last) < 0 || hasForgotten(heartbeat, last))) || this.isBehind({ epoch, revision }, known);
    if (!isBehind) {
      const life = { ...(incarnation === undefined ? {} : { incarnation }), ...(written === undefined ? {} : { written }) };
      this.#witness = { epoch, term, stream, seq, beat, sentAtMs, revision, ...life, heartbeat: heard.encoded };
      this.#evidence = undefined;
      this.#isSuspected = false;
      return;
    }
    this.#note(heartbeat);
    if ((this.#evidence?.seen ?? 0) < seenMin[order]) {
      // A leader that is over may say what it likes: its successor, whom we follow, is not suspected for that.
      if (order === "successor") this.#isSuspected = true;
      return;
    }
    this.#behind = { epoch: Math.max(epoch, this.#witness?.epoch ?? 0, known.epoch), sinceMs: heard.wallMs };
    this.#isSuspected = false;
  }

  /** True when `position` is below what is known by signatures. */
  isBehind(position: Generation, known: Generation): boolean {
    return compareGenerations(position, known) < 0 || (this.#witness !== undefined && compareGenerations(position, this.#witness) < 0);
  }

  /** Whether a frame that comes after everything applied of its stream is from behind; heartbeats may have overtaken it. */
  isFrameBehind({ epoch, stream, seq }: StreamPosition, revision: number | undefined, known: Generation): boolean {
    if (revision === undefined) return false;
    const witness = this.#witness;
    const hasOvertaken = witness !== undefined && witness.stream === stream && witness.seq >= seq;
    return hasOvertaken ? compareGenerations({ epoch, revision }, known) < 0 : this.isBehind({ epoch, revision }, known);
  }

  /** An unsigned message was from behind. */
  suspect(): void {
    if (this.#behind === undefined) this.#isSuspected = true;
  }

  /** An answer of `epoch` was not. */
  trust(epoch: number): void {
    this.#isSuspected = false;
    this.#evidence = undefined;
    if (!this.isGivenUp(epoch)) this.#behind = undefined;
  }

  #note({ stream, beat }: Heartbeat): void {
    const before = this.#evidence;
    if (before?.stream !== stream) this.#evidence = { stream, beat, seen: 1 };
    else if (beat > before.beat) this.#evidence = { stream, beat, seen: before.seen + 1 };
  }
}

/**
 * True when this incarnation has taken up a store without all that another one had written there, however far it has come since: its own
 * first writes may have taken the positions that were lost.
 */
export function hasForgotten({ epoch, incarnation, opened }: Pick<Heartbeat, "epoch" | "incarnation" | "opened">, before: Pick<Heartbeat, "epoch" | "incarnation" | "written">): boolean {
  const { written } = before;
  const isAnother = incarnation !== undefined && before.incarnation !== undefined && incarnation !== before.incarnation;
  return epoch === before.epoch && isAnother && opened !== undefined && written !== undefined && opened < written;
}

/** By the stream that is followed, which nobody has signed: good for how often something must be seen, and not for evidence of its own. */
function orderWithout(heartbeat: Heartbeat, cursor: ReplicaCursor): Order {
  if (heartbeat.epoch > cursor.epoch || heartbeat.stream === cursor.stream) return "later";
  return compareTerms(heartbeat, cursor) > 0 ? "successor" : "unordered";
}

function orderOf(heartbeat: Heartbeat, last: Witness): Order {
  if (heartbeat.epoch > last.epoch) return "later";
  if (heartbeat.stream === last.stream) return heartbeat.beat > last.beat ? "later" : "late";
  if (compareTerms(heartbeat, last) > 0) return "successor";
  return heartbeat.sentAtMs > last.sentAtMs ? "unordered" : "late";
}
