import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { GivenUp, ReplicaCursor, Witness } from "./replica-state.ts";

/** Between two times that a newer witness is made durable by itself, in ms: one of a higher position, and one that is only signed later. It has 6 KB, too much for each commit. */
const witnessKeepMs = { higher: 10_000, later: 3_600_000 } as const;

/** Sees to it that what a publisher has signed outlives a restart of its receiver: in the cursor, which is durable. */
export class KeptWitness {
  #keptMs = Number.NEGATIVE_INFINITY;

  /** `cursor` with what a restart has to know: that the publisher is behind at once, and the witness now and then. */
  keep(cursor: ReplicaCursor, { behind, witness }: { readonly behind: GivenUp | undefined; readonly witness: Witness | undefined }, nowMs: number): ReplicaCursor {
    if (behind !== undefined && cursor.behind === undefined) return { ...cursor, behind, ...(witness === undefined ? {} : { witness }) };
    if (witness === undefined || witness === cursor.witness || !this.#isDue(witness, cursor.witness, nowMs)) return cursor;
    this.#keptMs = nowMs;
    return { ...cursor, witness };
  }

  #isDue(witness: Witness, before: Witness | undefined, nowMs: number): boolean {
    // The first word of another life is kept along with whatever is applied of it.
    if (before?.incarnation !== witness.incarnation) return true;
    const isHigher = before === undefined || compareGenerations(witness, before) > 0;
    return nowMs - this.#keptMs >= witnessKeepMs[isHigher ? "higher" : "later"];
  }
}
