import { removalRatioMax } from "#federation/model/removal-bounds.ts";
import type { ReplicaRecords } from "./replica-records.ts";
import type { RemovalReason, ReplicaChange } from "./replica-state.ts";

/** What a receiver's brake guards, and how soon it takes hold. */
export interface BrakeRules {
  /** Kinds that give somebody a right: they go at once, however many there are. */
  readonly rightsKinds: readonly string[];
  /** Withdrawals at once that go however few objects there are, because this publisher does not sign its deletions. */
  readonly freeMax: number;
}

/** How long withdrawals count as made at once, in ms. */
export const brakeWindowMs = 60_000;

/** Counts kept of what went within the window; when full, newer ones count as the last: the window is then too long, never too short. */
const marksMax = 64;

/** A key that its publisher offers no longer, without its origin having signed that it is deleted. */
export interface Unexplained {
  readonly id: string;
  readonly reason: Exclude<RemovalReason, "deleted">;
}

/**
 * Holds back what a publisher withdraws without a signed deletion, where that is more than the bounds of inferred removals: such an
 * emptiness is more often the sign of a lost store than of somebody's wish. Counted are the publisher's own objects; of what it relays it
 * may end the offer to us at any time: that is held back only in the step that is too much, as the same loss may be behind it, in the first
 * answer of an epoch that nobody decided on, and after a restart, until it is known again what is held back. What is held back stays held
 * and stands outside the digests.
 *
 * ```
 *   open ── more than the bounds ──▶ holding: own ones that are withdrawn are held back ── offered again, deleted by signature, all of it ──▶ open
 *                                       └────────────── an operator lets it go ─────────────────────────────────────────────────────────────▶ open
 * ```
 */
export class WithdrawalBrake {
  readonly #rules: BrakeRules | undefined;
  readonly #publisher: string;
  readonly #records: ReplicaRecords;
  /** After a restart nobody knows which of the held objects are still offered, until the publisher has answered. */
  #isResuming: boolean;
  #decidedEpoch = 0;
  #gone: { readonly atMs: number; count: number }[] = [];

  constructor(rules: BrakeRules | undefined, { publisher, records, wasHolding }: { readonly publisher: string; readonly records: ReplicaRecords; readonly wasHolding: boolean }) {
    this.#rules = rules;
    this.#publisher = publisher;
    this.#records = records;
    this.#isResuming = wasHolding;
  }

  /** True while something is held back, or may be. */
  get isHolding(): boolean {
    return this.#isResuming || this.#records.heldBack.size > 0;
  }

  /** Removes those of `asked` that may go. `newEpoch` is given by the first answer of an epoch. O(objects) when the publisher withdraws own ones. */
  remove(asked: readonly Unexplained[], about: { readonly nowMs: number; readonly newEpoch?: number | undefined }): readonly ReplicaChange[] {
    const present = asked.filter(({ id }) => this.#records.isOffered(id));
    const held = this.#heldOf(present.map(({ id }) => id), about);
    for (const id of held) this.#records.holdBack(id);
    return present.flatMap(({ id, reason }) => (held.has(id) ? [] : (this.#records.remove(id, reason) ?? [])));
  }

  /** What the publisher offers of what is held is known: it has answered, or holds the same. */
  answered(): void {
    this.#isResuming = false;
  }

  /** An operator's word: what is held back goes, and so does what the first answers of epochs up to `epoch` do not hold. */
  letGo(epoch = 0): readonly ReplicaChange[] {
    this.#decidedEpoch = Math.max(this.#decidedEpoch, epoch);
    this.#gone = [];
    return [...this.#records.heldBack.keys()].flatMap((id) => this.#records.remove(id, "withdrawn") ?? []);
  }

  /** Those of `ids` that stay. What goes is counted. */
  #heldOf(ids: readonly string[], { nowMs, newEpoch }: { readonly nowMs: number; readonly newEpoch?: number | undefined }): ReadonlySet<string> {
    const isDecided = newEpoch !== undefined && newEpoch <= this.#decidedEpoch;
    const guarded = isDecided ? [] : ids.filter((id) => this.#isGuarded(id));
    const counts = (id: string): boolean => this.#isGuarded(id) && (newEpoch !== undefined || this.#isOwn(id));
    const counted = guarded.filter(counts);
    if (this.#isResuming) return new Set(guarded);
    if (this.isHolding) return new Set(counted);
    if (this.#isTooMany(counted.length, counts, nowMs)) return new Set(guarded);
    this.#note(counted.length, nowMs);
    return new Set();
  }

  #isTooMany(asked: number, counts: (id: string) => boolean, nowMs: number): boolean {
    const { freeMax } = this.#rules ?? { freeMax: 0 };
    this.#gone = this.#gone.filter(({ atMs }) => nowMs - atMs < brakeWindowMs);
    const before = this.#gone.reduce((sum, { count }) => sum + count, 0);
    if (asked === 0 || before + asked <= freeMax) return false;
    const total = this.#records.count(counts) + before;
    return before + asked > Math.max(freeMax, Math.min(Math.floor(total * removalRatioMax), total - 1));
  }

  #note(count: number, nowMs: number): void {
    if (count === 0) return;
    const last = this.#gone.at(-1);
    if (last !== undefined && this.#gone.length >= marksMax) last.count += count;
    else this.#gone.push({ atMs: nowMs, count });
  }

  #isGuarded(id: string): boolean {
    return this.#rules !== undefined && !this.#rules.rightsKinds.includes(kindOf(id));
  }

  #isOwn(id: string): boolean {
    return id.startsWith(`${this.#publisher}/`);
  }
}

/** Of `origin/kind/key`. */
function kindOf(id: string): string {
  const start = id.indexOf("/") + 1;
  return id.slice(start, id.indexOf("/", start));
}
