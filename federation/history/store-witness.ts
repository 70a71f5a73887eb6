import type { Generation } from "#federation/model/snapshot.ts";
import { ownWitness, type SeenBehind } from "#federation/model/store-standing.ts";

/** What a plane remembers of its store outside of it. Epoch 0: nothing yet. */
export interface StoreWitness extends Generation {
  /** The mark that the store held last, and after it one whose write has no outcome yet: the store holds one of them, unless somebody put another history in its place. None before the first look. */
  readonly marks: readonly string[];
  /** Where the key of this process's trail has begun: no write moves that, and a store that was filled anew key by key has it elsewhere. Absent until it was seen. */
  readonly trailBegan?: number;
  /** The store was seen behind, and nobody has decided yet. */
  readonly behind?: SeenBehind;
}

/** What a store says of itself now. */
export interface StoreFacts extends Generation {
  /** It was filled from a backup made then (wall-clock ms), and nobody has decided about it. */
  readonly restoredFromMs?: number | undefined;
  /** The mark that this plane's process wrote there last; undefined where there is none. */
  readonly mark: string | undefined;
  /** Position of this process's last write that it holds; 0 where there is none. */
  readonly trail: number;
  /** Position of the first of them; 0 where there is none. */
  readonly trailBegan: number;
}

export const nothingWitnessed: StoreWitness = { epoch: 0, revision: 0, marks: [] };

/** Marks that a witness file may have: two, and as many as versions before wrote. */
export const marksMax = 4;

/** Stands among marks for a store that had none yet. */
const noMark = "";

/**
 * What is remembered of a store: the witness, and the position of this process's last acknowledged write in the witness's epoch, 0 before
 * the first. Both as they were when the store was asked, since writes go on meanwhile.
 */
export interface Remembered {
  readonly witness: StoreWitness;
  readonly writtenAt: number;
}

/**
 * Why `facts` cannot be those of the store that was witnessed; undefined when they can. A higher epoch than any witnessed is good,
 * whatever else is new in it: it begins by an operator's decision alone; and until then a store that was behind once stays so, since what
 * is written into it raises its positions. Pure.
 */
export function judgeStore(facts: StoreFacts, { witness: { behind, epoch, marks, trailBegan, ...witnessed }, writtenAt }: Remembered): SeenBehind | undefined {
  if (behind !== undefined && facts.epoch <= behind.witnessed.epoch) return behind;
  if (facts.restoredFromMs !== undefined) {
    const latest = facts.epoch > epoch ? { epoch: facts.epoch, revision: facts.revision } : { epoch, revision: Math.max(witnessed.revision, writtenAt) };
    return { reason: "mark", witnessed: latest, witness: `whoever made the backup of ${new Date(facts.restoredFromMs).toISOString()}, which was restored,` };
  }
  if (facts.epoch > epoch) return undefined;
  const revision = Math.max(witnessed.revision, writtenAt);
  const seen = { witnessed: { epoch, revision }, witness: ownWitness };
  if (facts.epoch < epoch) return { reason: "epoch", ...seen };
  if (facts.revision < revision) return { reason: "revision", ...seen };
  const isMarked = marks.length === 0 || marks.includes(facts.mark ?? noMark);
  const isTrail = facts.trail >= writtenAt && (trailBegan === undefined || facts.trailBegan === trailBegan);
  return isMarked && isTrail ? undefined : { reason: "mark", ...seen };
}

/**
 * `witness`, which `facts` were judged by, with the mark that is to be written next as its last: `fresh`, unless a write of one has no
 * outcome yet. That one is written again, for as long as it takes: a store that answers and takes no writes would else be asked for ever
 * more marks that it never got, and no longer for the one that it holds. Pure.
 */
export function withMark(witness: StoreWitness, facts: StoreFacts, fresh: string): StoreWitness {
  if (witness.marks.length > 1) return witness;
  return { ...witness, marks: [...(witness.marks.length === 0 ? [facts.mark ?? noMark] : witness.marks), fresh] };
}
