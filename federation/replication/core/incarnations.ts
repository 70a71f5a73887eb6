import type { Heartbeat } from "#federation/model/replication-messages.ts";
import { HeartbeatOrder } from "./heartbeat-order.ts";
import type { HeardHeartbeat } from "./rollback-guard.ts";

/** How long after one incarnation was heard nothing of another is taken up, in ms: a publisher that has ended is silent for longer than between two heartbeats. */
export const settleMs = 1_500;

/** How long one of several has to be heard alone before it is believed again, in ms: three heartbeats. */
export const doubtMs = 3_500;

/**
 * How long, in ms, once two are known. A process that is started again, or a connection that is made again, is away for less, and the
 * operator who ends a copy waits for no longer.
 */
export const silenceMs = 60_000;

/**
 * How often one has to come back after another. A leader that does not know yet that it is over speaks for as long as its lease, five
 * seconds, so six times at most.
 */
export const returnsMin = 10;

/** A gap in what one says after which it is not known to have been heard alone, in ms. */
const gapMs = 10_000;

/** How recent the word of the other one is that each is shown, in ms. */
const rivalMs = 5_000;

/** Incarnations remembered of one epoch; the one that was heard least lately gives way. */
const incarnationsMax = 16;

/** That a publisher is two processes. */
export interface Doubled {
  /** The incarnations that were heard of late, in order. */
  readonly incarnations: readonly string[];
  /** Wall-clock ms. */
  readonly sinceMs: number;
}

/** What is to be made of a heartbeat: `over` is of an epoch that was left behind. */
export type IncarnationVerdict = "sole" | "doubted" | "doubled" | "over";

interface Heard {
  readonly order: HeartbeatOrder;
  stream: string;
  atMs: number;
  /** The encoded heartbeat. */
  said: Uint8Array;
  returns: number;
  /** Another has outlasted it: it is not heard again without doubt. */
  isLeft: boolean;
}

/**
 * Tells one publisher that was started again from two of one name. A restart is heard as A, then B, and never A again; a copied data
 * directory as A, B, A, B.
 *
 * ```
 *   sole ── one comes back after another ──▶ doubted ── returnsMin times ──▶ doubled
 *     ▲ ▲                                      │                               │
 *     │ └─────── one alone for doubtMs ────────┘                               │
 *     └── one alone for silenceMs; or an epoch above, which an operator begins ┘
 * ```
 * In doubt, and doubled, nothing of the publisher is applied. Only signed heartbeats are counted, each once; time is the receiver's own.
 */
export class Incarnations {
  readonly #heard = new Map<string, Heard>();
  #epoch: number;
  #epochAtMs = Number.NEGATIVE_INFINITY;
  /** Which one was heard last, and since when it alone. */
  #run: { readonly id: string; readonly sinceMs: number; readonly lastMs: number } | undefined;
  #isDoubted = false;
  #doubledSinceMs: number | undefined;
  #nowMs = Number.NEGATIVE_INFINITY;

  /** `epoch`: that of what is held. */
  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** True while nothing may be applied. */
  get isStopping(): boolean {
    return this.#isDoubted || this.#doubledSinceMs !== undefined;
  }

  /** Present once it is beyond doubt. */
  get doubled(): Doubled | undefined {
    if (this.#doubledSinceMs === undefined) return undefined;
    const incarnations = [...this.#heard].filter(([, { atMs }]) => this.#nowMs - atMs < silenceMs).map(([id]) => id);
    return { incarnations: incarnations.toSorted(), sinceMs: this.#doubledSinceMs };
  }

  /** Takes a verified heartbeat of the publisher. */
  hear(heartbeat: Heartbeat, { nowMs, wallMs, encoded }: HeardHeartbeat): IncarnationVerdict {
    const { epoch, stream } = heartbeat;
    this.#nowMs = nowMs;
    if (epoch < this.#epoch) return "over";
    if (epoch > this.#epoch) this.#begin(epoch);
    this.#epochAtMs = nowMs;
    const id = incarnationOf(heartbeat);
    const known = this.#heard.get(id);
    const order = known?.order ?? new HeartbeatOrder();
    if (!order.isNews(heartbeat)) return this.#verdict;
    const isReturn = known !== undefined && this.#run?.id !== id;
    const next = known ?? { order, stream, atMs: nowMs, said: encoded, returns: 0, isLeft: false };
    Object.assign(next, { stream, atMs: nowMs, said: encoded, returns: next.returns + (isReturn ? 1 : 0) });
    this.#keep(id, next);
    const sinceMs = this.#run?.id === id && nowMs - this.#run.lastMs < gapMs ? this.#run.sinceMs : nowMs;
    this.#run = { id, sinceMs, lastMs: nowMs };
    if (isReturn) this.#isDoubted = true;
    if (next.returns >= returnsMin || next.isLeft) this.#doubledSinceMs ??= wallMs;
    this.#settle(id, nowMs - sinceMs);
    return this.#verdict;
  }

  /** Whether an incarnation that does not speak in `stream` was heard so lately that nothing of that stream is taken up. */
  isHeldUp({ epoch, stream }: Pick<Heartbeat, "epoch" | "stream">, nowMs: number): boolean {
    return epoch <= this.#epoch && [...this.#heard.values()].some((one) => one.stream !== stream && nowMs - one.atMs < settleMs);
  }

  /** Whether the epoch that is followed was heard so lately that one before it says nothing of the publisher's store. */
  isSpeaking(nowMs: number): boolean {
    return nowMs - this.#epochAtMs < rivalMs;
  }

  /** What another one than that of `heartbeat` has said last, for the two of them to hear of each other. */
  rivalOf(heartbeat: Heartbeat, nowMs: number): Uint8Array | undefined {
    const id = incarnationOf(heartbeat);
    let latest: Heard | undefined;
    for (const [other, one] of this.#heard) {
      if (other !== id && nowMs - one.atMs < rivalMs && (latest === undefined || one.atMs >= latest.atMs)) latest = one;
    }
    return latest?.said;
  }

  get #verdict(): IncarnationVerdict {
    if (this.#doubledSinceMs !== undefined) return "doubled";
    return this.#isDoubted ? "doubted" : "sole";
  }

  /** An operator has decided: whoever begins the epoch is the one. */
  #begin(epoch: number): void {
    this.#epoch = epoch;
    this.#heard.clear();
    this.#run = undefined;
    this.#isDoubted = false;
    this.#doubledSinceMs = undefined;
  }

  /** Ends the doubt, or the refusal, when `id` was heard alone for long enough. */
  #settle(id: string, aloneMs: number): void {
    if (!this.isStopping || aloneMs < (this.#doubledSinceMs === undefined ? doubtMs : silenceMs)) return;
    for (const [other, one] of this.#heard) {
      one.isLeft = other !== id && (one.isLeft || this.#doubledSinceMs !== undefined);
      one.returns = 0;
    }
    this.#isDoubted = false;
    this.#doubledSinceMs = undefined;
  }

  #keep(id: string, one: Heard): void {
    this.#heard.delete(id);
    this.#heard.set(id, one);
    for (const oldest of this.#heard.keys()) {
      if (this.#heard.size <= incarnationsMax) break;
      this.#heard.delete(oldest);
    }
  }
}

/** Publishers of an older version say none: their streams are new for each start, too. */
function incarnationOf({ incarnation, stream }: Heartbeat): string {
  return incarnation ?? stream;
}
