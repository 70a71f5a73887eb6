import { describe, expect, it } from "vitest";
import { KeptWitness } from "./kept-witness.ts";
import type { ReplicaCursor, Witness } from "./replica-state.ts";

const cursor: ReplicaCursor = { epoch: 1, term: 5, stream: "s", seq: 10, floor: { epoch: 1, revision: 100 } };

function witnessOf(revision: number, rest: Partial<Witness> = {}): Witness {
  return { epoch: 1, term: 5, stream: "s", seq: 10, beat: revision, sentAtMs: revision, revision, incarnation: "first", heartbeat: new Uint8Array(), ...rest };
}

describe("what is kept of a publisher's signed words", () => {
  it("is the first one, a higher one after ten seconds, and one that is only later after an hour", () => {
    const kept = new KeptWitness();
    let now = cursor;
    const at = (nowMs: number, witness: Witness): number | undefined => {
      now = kept.keep(now, { behind: undefined, witness }, nowMs);
      return now.witness?.beat;
    };
    expect([at(0, witnessOf(1)), at(9_999, witnessOf(2)), at(10_000, witnessOf(3))]).toEqual([1, 1, 3]);
    const later = (beat: number): Witness => witnessOf(3, { beat });
    expect([at(30_000, later(4)), at(3_609_999, later(5)), at(3_610_000, later(6))]).toEqual([3, 3, 6]);
  });

  it("is the first word of another life at once", () => {
    const kept = new KeptWitness();
    const first = kept.keep(cursor, { behind: undefined, witness: witnessOf(1) }, 0);
    expect(kept.keep(first, { behind: undefined, witness: witnessOf(2, { incarnation: "second" }) }, 1).witness).toMatchObject({ incarnation: "second" });
  });

  it("is at once that the publisher is behind, with the witness of it, and once", () => {
    const kept = new KeptWitness();
    const first = kept.keep(cursor, { behind: undefined, witness: witnessOf(1) }, 0);
    const behind = { epoch: 1, sinceMs: 7 };
    const judged = kept.keep(first, { behind, witness: witnessOf(2) }, 1);
    expect(judged).toMatchObject({ behind, witness: { revision: 2 } });
    expect(kept.keep(judged, { behind: { epoch: 1, sinceMs: 9 }, witness: witnessOf(2) }, 2).behind).toBe(behind);
  });
});
