import { describe, expect, it } from "vitest";
import { objectId } from "#federation/model/replicated-object.ts";
import type { OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import { digestsBytes, type FetchAnswer, type Frame } from "#federation/model/replication-messages.ts";
import { openObject, signObject, verifyObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { bucketOf } from "./digest-table.ts";
import { ReceiverCore } from "./receiver.ts";
import type { ReceiverRules, RefusalReason } from "./receiver.ts";
import { refusedNamedMax } from "./refused-objects.ts";
import { emptyReplicaState } from "./replica-state.ts";
import type { ReplicaState } from "./replica-state.ts";

const origins = new TestOrigins();
const names = { federation: "demo.atoll", publisher: "global", audience: "pay-eu" };
const position = { epoch: 1, term: 5, stream: "s" };

/** A cluster that listens to the global plane, at seq 10 of its stream. */
function receiverOf(rules: Partial<ReceiverRules> = {}, state: Partial<ReplicaState> = {}): ReceiverCore {
  const cursor = { ...position, seq: 10, floor: { epoch: 1, revision: 100 } };
  return new ReceiverCore(
    { names, origins: "any", audienceNames: ["pay.example", "cluster:pay-eu"], open, isAuthentic, ...rules },
    { ...emptyReplicaState, cursor, ...state },
  );
}

function open(signed: SignedObject): OpenedObject | undefined {
  try {
    return openObject(signed);
  } catch {
    return undefined;
  }
}

function isAuthentic({ signed }: OpenedObject): boolean {
  try {
    verifyObject(signed, origins.verifyChain);
    return true;
  } catch {
    return false;
  }
}

function frameOf(...entries: readonly SignedObject[]): Frame {
  return { ...names, ...position, seq: 11, entries, withdrawn: [] };
}

function answerOf(entries: readonly SignedObject[], rest: Partial<FetchAnswer> = {}): FetchAnswer {
  const buckets = Uint8Array.from({ length: 256 }, (_, bucket) => bucket);
  return { ...names, ...position, seq: 11, revision: 200, buckets, answer: "x", part: 0, parts: 1, entries, ...rest };
}

const note = origins.object("shop-eu", "a", 7);

describe("a receiver refuses", () => {
  const forged = signObject(note.payload, origins.signer("pay-us"));
  const cases: readonly [RefusalReason, string, Frame, Partial<ReceiverRules>?, Partial<ReplicaState>?][] = [
    ["link", "a frame of another federation", { ...frameOf(note.signed), federation: "evil.atoll" }],
    ["link", "a frame of an unknown publisher", { ...frameOf(note.signed), publisher: "shop-us" }],
    ["link", "a frame to another audience", { ...frameOf(note.signed), audience: "pay-us" }],
    ["staleStream", "a frame of an earlier term", { ...frameOf(note.signed), term: 4, stream: "r" }],
    ["staleStream", "a frame of an earlier epoch", { ...frameOf(note.signed), epoch: 0, term: 9, stream: "r" }],
    ["duplicate", "a frame it has applied", { ...frameOf(note.signed), seq: 10 }],
    ["origin", "an object of an origin that the publisher may not speak for", frameOf(note.signed), { origins: "publisher" }],
    ["origin", "an object of another federation", frameOf(origins.object("shop-eu", "a", 7, { federation: "evil.atoll" }).signed)],
    ["origin", "an object that its own rule does not admit", frameOf(note.signed), { admits: () => false }],
    ["audience", "an object that is meant for others", frameOf(origins.object("shop-eu", "a", 7, { audience: ["shop.example"] }).signed)],
    ["signature", "an object signed by somebody else", frameOf(forged.signed)],
    ["signature", "an object that is none", frameOf({ ...note.signed, payload: Uint8Array.of(255) })],
    ["revision", "an object older than the one it holds", frameOf(note.signed), {}, { live: new Map([[objectId(note.payload), { epoch: 1, revision: 8 }]]) }],
    ["revision", "an object that was deleted", frameOf(note.signed), {}, { dead: new Map([[objectId(note.payload), { generation: { epoch: 1, revision: 7 }, reason: "deleted" }]]) }],
    ["floor", "an unknown object of the publisher's own at the floor", frameOf(origins.object("global", "b", 100).signed)],
  ];
  it.each(cases)("for %s: %s", (reason, _title, frame, rules, state) => {
    const core = receiverOf(rules, state);
    expect(core.onFrame(frame, 0).changes).toEqual([]);
    expect([...core.refused]).toEqual([[reason, 1]]);
  });

  it.each<[RefusalReason, string, Partial<FetchAnswer>]>([
    ["staleAnswer", "behind what it has", { seq: 9 }],
    ["staleAnswer", "of an earlier term", { term: 4, stream: "r" }],
    ["staleAnswer", "that is a part of a larger one", { parts: 2 }],
    ["staleAnswer", "that the publisher holds no longer", { parts: 0 }],
    ["rollback", "from before the floor", { revision: 99 }],
    ["link", "of somebody else", { publisher: "shop-us" }],
  ])("for %s: an answer %s", (reason, _title, rest) => {
    const core = receiverOf({}, { live: new Map([["shop-eu/Note/z", { epoch: 1, revision: 1 }]]) });
    expect(core.onAnswer([answerOf([note.signed], rest)])).toEqual({ changes: [] });
    expect([...core.refused]).toEqual([[reason, 1]]);
    expect(core.cursor.seq).toBe(10);
  });
});

describe("an answer", () => {
  it("removes what its buckets do not hold, and nothing of other buckets", () => {
    const live = new Map(["shop-eu/Note/x", "global/Note/y"].map((id) => [id, { epoch: 1, revision: 50 }]));
    expect(receiverOf({}, { live }).onAnswer([answerOf([])]).changes).toMatchObject([
      { kind: "remove", id: "shop-eu/Note/x", reason: "withdrawn" },
      { kind: "remove", id: "global/Note/y", reason: "swept" },
    ]);
    const buckets = Uint8Array.of(bucketOf("global/Note/y"));
    expect(receiverOf({}, { live }).onAnswer([answerOf([], { buckets })]).changes).toMatchObject([{ id: "global/Note/y" }]);
  });

  it("does not sweep a key of the publisher's own that is newer than the answer", () => {
    const core = receiverOf({}, { live: new Map([["global/Note/y", { epoch: 1, revision: 201 }]]) });
    expect(core.onAnswer([answerOf([])]).changes).toEqual([]);
    expect(core.needsReconcile).toBe(true);
  });

  it("keeps what it holds when the answer's newer object is not authentic", () => {
    const live = new Map([[objectId(note.payload), { epoch: 1, revision: 6 }]]);
    const forged = signObject(note.payload, origins.signer("pay-us"));
    const core = receiverOf({}, { live });
    expect(core.onAnswer([answerOf([forged.signed])]).changes).toEqual([]);
    expect([...core.refused]).toEqual([["signature", 1]]);
  });

  it("lets go of an object that is not meant for us any more", () => {
    const live = new Map([[objectId(note.payload), { epoch: 1, revision: 6 }]]);
    const moved = origins.object("shop-eu", "a", 7, { audience: ["shop.example"] });
    expect(receiverOf({}, { live }).onAnswer([answerOf([moved.signed])]).changes).toMatchObject([{ kind: "remove", reason: "withdrawn" }]);
  });
});

describe("an object that is never accepted", () => {
  it("is asked for less and less often", () => {
    const core = receiverOf({ isAuthentic: () => false });
    const digests = new Uint8Array(2048).fill(1);
    const heartbeat = { ...names, ...position, seq: 10, publisherTrustDomain: "demo.atoll", digests, nonce: new Uint8Array(0), sentAtMs: 0, beat: 1 };
    let nowMs = 0;
    const waits: number[] = [];
    for (let round = 0; round < 10; round++) {
      core.onHeartbeat(heartbeat, nowMs);
      const waitMs = core.fetchDelayMs(nowMs) ?? Number.NaN;
      waits.push(waitMs);
      nowMs += waitMs;
      core.fetch(nowMs);
      core.onAnswer([answerOf([note.signed], { seq: 10 })]);
    }
    expect(waits).toEqual([0, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
  });
});

describe("what a receiver says that it refuses", () => {
  const forged = (key: string, revision: number): OpenedObject => signObject(origins.object("shop-eu", key, revision).payload, origins.signer("pay-us"));
  const heartbeat = (core: ReceiverCore, seq: number, digests: Uint8Array): unknown =>
    core.onHeartbeat({ ...names, ...position, seq, publisherTrustDomain: "demo.atoll", digests, nonce: new Uint8Array(16), sentAtMs: 1, beat: 1 }, 0);
  const id = objectId(note.payload);

  it("may be more than it names, until an answer or an equal digest has shown all of it", () => {
    const core = receiverOf();
    expect(core.refusedObjects.mayBeMore).toBe(true);
    expect(heartbeat(core, 10, new Uint8Array(digestsBytes))).toBe("equal");
    expect(core.refusedObjects).toMatchObject({ mayBeMore: false, named: [] });
    const other = receiverOf();
    other.onAnswer([answerOf([note.signed])]);
    expect(other.refusedObjects).toMatchObject({ mayBeMore: false, named: [] });
  });

  it("is named with the reason, until a good form of it has come or it is withdrawn", () => {
    const core = receiverOf();
    core.onAnswer([answerOf([note.signed, forged("b", 8).signed])]);
    const b = objectId(forged("b", 8).payload);
    expect(core.refusedObjects.named).toEqual([{ id: b, reason: "signature" }]);
    core.onFrame({ ...frameOf(origins.object("shop-eu", "b", 9).signed, forged("a", 9).signed), seq: 12 }, 0);
    expect(core.refusedObjects.named).toEqual([{ id, reason: "signature" }]);
    core.onFrame({ ...frameOf(), seq: 13, withdrawn: [id] }, 0);
    expect(core.refusedObjects).toMatchObject({ mayBeMore: false, named: [] });
  });

  it("is bounded: what has no room is said of its kind, and what cannot be read or has too many kinds of any", () => {
    const core = receiverOf();
    const many = (kindOf: (index: number) => string): readonly SignedObject[] =>
      Array.from({ length: 2 * refusedNamedMax + 1 }, (_, index) => signObject({ ...origins.object("shop-eu", `k${index}`, 1).payload, kind: kindOf(index) }, origins.signer("pay-us")).signed);
    core.onAnswer([answerOf(many(() => "Drill"))]);
    expect(core.refusedObjects.named).toHaveLength(refusedNamedMax);
    expect(core.refusedObjects).toMatchObject({ kinds: ["Drill"], mayBeMore: false });
    const various = receiverOf();
    various.onAnswer([answerOf(many((index) => `Kind${index}`))]);
    expect(various.refusedObjects.kinds).toHaveLength(refusedNamedMax);
    expect(various.refusedObjects.mayBeMore).toBe(true);
    const unreadable = receiverOf();
    unreadable.onAnswer([answerOf([{ ...note.signed, payload: Uint8Array.of(1) }])]);
    expect(unreadable.refusedObjects).toMatchObject({ mayBeMore: true, named: [] });
  });
});
