import { describe, expect, it } from "vitest";
import { digestsBytes, type Heartbeat } from "#federation/model/replication-messages.ts";
import { emptyReplicaState, type ReplicaCursor } from "./replica-state.ts";
import { RollbackGuard } from "./rollback-guard.ts";

const nothingKnown = { epoch: 0, revision: 0 };
const cursor: ReplicaCursor = { ...emptyReplicaState.cursor, epoch: 1, term: 5, stream: "s", seq: 10 };

/** The heartbeat of beat 20 and revision 100 of the followed stream, unless told otherwise; a stream's beats are a second apart. */
function beat(rest: Partial<Heartbeat> = {}): Heartbeat {
  const names = { federation: "demo.atoll", publisher: "global", audience: "pay-eu", publisherTrustDomain: "demo.atoll" };
  const said = { epoch: 1, term: 5, stream: "s", seq: 10, beat: 20, revision: 100, ...rest };
  return { ...names, ...said, digests: new Uint8Array(digestsBytes), nonce: new Uint8Array(0), sentAtMs: 1_000 * said.beat, ...(rest.sentAtMs === undefined ? {} : { sentAtMs: rest.sentAtMs }) };
}

function hear(guard: RollbackGuard, heartbeats: readonly Heartbeat[], rest: { readonly at?: ReplicaCursor; readonly known?: typeof nothingKnown } = {}): string {
  for (const heartbeat of heartbeats) guard.hear(heartbeat, { cursor: rest.at ?? cursor, known: rest.known ?? nothingKnown, heard: { nowMs: 1, wallMs: 7, encoded: Uint8Array.of(heartbeat.beat) } });
  return guard.behind !== undefined ? "behind" : guard.isStopping ? "suspected" : "sound";
}

const range = (count: number, map: (index: number) => Heartbeat): readonly Heartbeat[] => Array.from({ length: count }, (_, index) => map(index));
/** An earlier leader that goes on. */
const earlier = (index: number): Heartbeat => beat({ term: 4, stream: "r", beat: 30 + index, revision: 90 });
const successor = (index: number, revision: number): Heartbeat => beat({ term: 6, stream: "t", beat: 1 + index, revision, sentAtMs: 21_000 + index });

/** Of a life that has written up to 100. */
const written = (): Heartbeat => beat({ incarnation: "life", opened: 20, written: 100 });
/** Of a later term, which has written more than that since it took up the store at `opened`. */
const takenUp = (index: number, opened: number, incarnation = "other"): Heartbeat => ({ ...successor(index, 150), incarnation, opened, written: 150 });

describe("a publisher's store", () => {
  it.each<[string, readonly Heartbeat[], string]>([
    ["is behind when its stream says less later", [beat(), beat({ beat: 21, revision: 99 })], "behind"],
    ["is not behind for a heartbeat that came late or twice", [beat({ beat: 19, revision: 99 }), beat(), beat({ beat: 19, revision: 99 }), beat()], "sound"],
    ["is suspected at the first heartbeat of a successor that says less", [beat(), successor(0, 99)], "suspected"],
    ["is not behind for a heartbeat of a successor that comes twice", [beat(), successor(0, 99), successor(0, 99)], "suspected"],
    ["is behind at the second", [beat(), successor(0, 98), successor(1, 99)], "behind"],
    ["is sound when the successor has read on meanwhile", [beat(), successor(0, 99), successor(1, 100), successor(2, 101)], "sound"],
    ["is no more than suspected while the earlier leader goes on beside its successor", [beat(), successor(0, 99), beat({ beat: 21, revision: 101 }), successor(1, 100)], "suspected"],
    ["is behind when an earlier term goes on alone", [beat(), ...range(5, earlier)], "behind"],
    ["is not behind while ours is heard between", [beat(), ...range(9, (index) => (index % 3 === 2 ? beat({ beat: 21 + index }) : earlier(index)))], "sound"],
    ["is not behind for heartbeats of an earlier term that are replayed", [beat(), ...range(9, (index) => beat({ term: 4, stream: "r", beat: 1 + index, revision: 50 }))], "sound"],
    ["is behind when a new store has the same term by chance", [beat(), ...range(5, (index) => beat({ stream: "u", beat: 30 + index, revision: 3 }))], "behind"],
    ["is sound when the link was made anew in the same term", [beat(), beat({ stream: "u", beat: 1, revision: 100, sentAtMs: 21_000 }), beat({ stream: "u", beat: 2, revision: 101, sentAtMs: 22_000 })], "sound"],
    ["is behind when an earlier epoch goes on alone", [beat({ epoch: 2 }), ...range(5, (index) => beat({ beat: 30 + index, stream: "r", revision: 500 }))], "behind"],
    ["is sound in a higher epoch, whatever its position", [beat(), beat({ epoch: 2, term: 1, stream: "v", beat: 1, revision: 3, sentAtMs: 0 })], "sound"],
    ["is behind when another life took it up without what the one before had written, however far it has come since", [written(), takenUp(0, 99), takenUp(1, 99)], "behind"],
    ["is sound when another life took it up with all of that", [written(), takenUp(0, 100), takenUp(1, 100)], "sound"],
    ["is sound when the same life makes its link anew", [written(), takenUp(0, 20, "life"), takenUp(1, 20, "life")], "sound"],
    ["is sound in a higher epoch, whatever it was taken up with", [written(), { ...takenUp(0, 3), epoch: 2 }], "sound"],
    ["is not behind while an earlier leader goes on beside its successor", [takenUp(0, 100), ...range(9, (index) => (index % 3 === 2 ? takenUp(1 + index, 100) : beat({ term: 4, stream: "r", beat: 30 + index, revision: 200, incarnation: "over", opened: 20, written: 90 })))], "sound"],
    ["says nothing of an older version", [beat(), beat({ beat: 21, revision: undefined }), beat({ beat: 22, revision: undefined })], "sound"],
  ])("%s", (_title, heartbeats, outcome) => {
    expect(hear(new RollbackGuard({}), heartbeats)).toBe(outcome);
  });

  it("is not followed in another stream before a word of it is heard, nor while that says that it has forgotten", () => {
    const guard = new RollbackGuard({});
    hear(guard, [written()]);
    const next = takenUp(0, 100);
    expect(guard.mayFollow(next)).toBe(false);
    guard.notice(takenUp(0, 99));
    expect([guard.mayFollow(next), guard.isStopping]).toEqual([false, false]);
    guard.notice(next);
    expect(guard.mayFollow(next)).toBe(true);
    // Neither of a version that says nothing of it, nor of another epoch, is anything to be waited for.
    expect(guard.mayFollow({ ...takenUp(0, 3), epoch: 2 })).toBe(true);
    expect(new RollbackGuard({}).mayFollow(next)).toBe(true);
  });

  it("is behind its own signed objects, too", () => {
    expect(hear(new RollbackGuard({}), [beat()], { known: { epoch: 1, revision: 101 } })).toBe("behind");
    expect(hear(new RollbackGuard({}), [beat()], { known: { epoch: 1, revision: 100 } })).toBe("sound");
  });

  it("is not behind for a late heartbeat of an earlier leader, when its successor's objects are held already", () => {
    const guard = new RollbackGuard({});
    const followed = { at: { ...cursor, term: 4, stream: "r" } };
    expect(hear(guard, [beat({ term: 4, stream: "r", beat: 29, revision: 90 })], followed)).toBe("sound");
    const known = { epoch: 1, revision: 100 };
    expect(hear(guard, [earlier(0), earlier(1)], { known })).toBe("sound");
    expect(hear(guard, [beat()], { known })).toBe("sound");
  });

  it("is never judged by a term or an epoch that nobody has signed", () => {
    const forged = { ...cursor, epoch: 9, term: 99, stream: "forged" };
    const genuine = range(9, (index) => beat({ beat: 20 + index, revision: 100 + index }));
    expect(hear(new RollbackGuard({}), genuine, { at: forged })).toBe("sound");
    const heard = new RollbackGuard({});
    hear(heard, [beat({ beat: 19 })]);
    expect(hear(heard, genuine, { at: forged })).toBe("sound");
  });

  it("is judged without a witness by its own objects, as often as its stream asks for", () => {
    const known = { epoch: 1, revision: 101 };
    const seen = (count: number, of: (index: number) => Heartbeat): string => hear(new RollbackGuard({}), range(count, of), { known });
    expect([seen(1, (index) => successor(index, 90)), seen(2, (index) => successor(index, 90))]).toEqual(["suspected", "behind"]);
    expect([seen(4, earlier), seen(5, earlier)]).toEqual(["sound", "behind"]);
  });

  it("stays behind over a restart and however far it comes, until an answer of a higher epoch", () => {
    const before = new RollbackGuard({});
    hear(before, [beat(), beat({ beat: 21, revision: 99 })]);
    expect(before.behind).toEqual({ epoch: 1, sinceMs: 7 });
    const { behind, witness } = before;
    if (behind === undefined || witness === undefined) throw new Error("it is behind");
    const guard = new RollbackGuard({ behind, witness });
    expect(hear(guard, [beat({ beat: 22, revision: 1_000 })])).toBe("behind");
    guard.trust(1);
    expect(guard.isGivenUp(1)).toBe(true);
    expect(guard.witness).toMatchObject({ revision: 100, heartbeat: Uint8Array.of(20) });
    hear(guard, [beat({ epoch: 2, term: 6, stream: "t", beat: 1, revision: 2 })]);
    expect(guard.isStopping).toBe(true);
    guard.trust(2);
    expect(guard.isStopping).toBe(false);
    expect(guard.witness).toMatchObject({ epoch: 2, revision: 2 });
  });

  it("is judged from where it was before a restart: heartbeats that were under way then are late", () => {
    const before = new RollbackGuard({});
    hear(before, [beat()]);
    const { witness } = before;
    if (witness === undefined) throw new Error("it was heard");
    expect(hear(new RollbackGuard({ witness }), [beat({ beat: 19, revision: 99 })])).toBe("sound");
    expect(hear(new RollbackGuard({ witness }), [beat({ beat: 21, revision: 99 })])).toBe("behind");
  });

  it("is only suspected for what is not signed, and no longer than until a heartbeat or an answer is sound", () => {
    const guard = new RollbackGuard({});
    hear(guard, [beat()]);
    guard.suspect();
    expect(guard.isStopping).toBe(true);
    expect(hear(guard, [beat({ beat: 21 })])).toBe("sound");
    guard.suspect();
    guard.trust(1);
    expect(guard.isStopping).toBe(false);
  });
});

describe("a frame", () => {
  const guard = new RollbackGuard({});
  hear(guard, [beat({ seq: 12 })]);

  it.each<[string, Parameters<RollbackGuard["isFrameBehind"]>, boolean]>([
    ["is from behind below a heartbeat that went before it", [{ ...cursor, seq: 13 }, 99, nothingKnown], true],
    ["is not from behind at its position", [{ ...cursor, seq: 13 }, 100, nothingKnown], false],
    ["is not from behind because a heartbeat has overtaken it", [{ ...cursor, seq: 12 }, 99, nothingKnown], false],
    ["is from behind below an object that is held, also then", [{ ...cursor, seq: 12 }, 97, { epoch: 1, revision: 98 }], true],
    ["is from behind below the heartbeat of an earlier stream", [{ ...cursor, stream: "t", seq: 1 }, 99, nothingKnown], true],
    ["of an older version says nothing", [{ ...cursor, seq: 13 }, undefined, nothingKnown], false],
  ])("%s", (_title, [position, revision, known], isBehind) => {
    expect(guard.isFrameBehind(position, revision, known)).toBe(isBehind);
  });
});
