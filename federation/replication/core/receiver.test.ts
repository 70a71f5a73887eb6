import { describe, expect, it } from "vitest";
import { objectId } from "#federation/model/replicated-object.ts";
import type { OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import { digestsBytes, type FetchAnswer, type Frame, type Heartbeat } from "#federation/model/replication-messages.ts";
import { openObject, signObject, verifyObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { bucketOf, contentHash } from "./digest-table.ts";
import { settleMs } from "./incarnations.ts";
import { ReceiverCore } from "./receiver.ts";
import type { ReceiverRules } from "./receiver-rules.ts";
import type { RefusalReason } from "./refusal-reason.ts";
import { refusedNamedMax } from "./refused-objects.ts";
import { emptyReplicaState } from "./replica-state.ts";
import type { HeldObject, ReplicaState } from "./replica-state.ts";
import type { HeardHeartbeat } from "./rollback-guard.ts";

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

/** What a receiver has of an object of this name and revision. */
function heldAt(revision: number, content = contentHash(origins.object("shop-eu", "any", 1).signed)): HeldObject {
  return { generation: { epoch: 1, revision }, content };
}

const heard = (nowMs: number): HeardHeartbeat => ({ nowMs, wallMs: 1_000_000 + nowMs, encoded: Uint8Array.of(1) });

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
    ["revision", "an object older than the one it holds", frameOf(note.signed), {}, { live: new Map([[objectId(note.payload), heldAt(8)]]) }],
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
    const core = receiverOf({}, { live: new Map([["shop-eu/Note/z", heldAt(1)]]) });
    expect(core.onAnswer([answerOf([note.signed], rest)], 0)).toEqual({ changes: [] });
    expect([...core.refused]).toEqual([[reason, 1]]);
    expect(core.cursor.seq).toBe(10);
  });
});

describe("an answer", () => {
  it("removes what its buckets do not hold, and nothing of other buckets", () => {
    const live = new Map(["shop-eu/Note/x", "global/Note/y"].map((id) => [id, heldAt(50)] as const));
    expect(receiverOf({}, { live }).onAnswer([answerOf([])], 0).changes).toMatchObject([
      { kind: "remove", id: "shop-eu/Note/x", reason: "withdrawn" },
      { kind: "remove", id: "global/Note/y", reason: "swept" },
    ]);
    const buckets = Uint8Array.of(bucketOf("global/Note/y"));
    expect(receiverOf({}, { live }).onAnswer([answerOf([], { buckets })], 0).changes).toMatchObject([{ id: "global/Note/y" }]);
  });

  it("does not sweep a key of the publisher's own that is newer than the answer", () => {
    const core = receiverOf({}, { live: new Map([["global/Note/y", heldAt(201)]]) });
    expect(core.onAnswer([answerOf([])], 0).changes).toEqual([]);
    expect(core.needsReconcile).toBe(true);
  });

  it("keeps what it holds when the answer's newer object is not authentic", () => {
    const live = new Map([[objectId(note.payload), heldAt(6)]]);
    const forged = signObject(note.payload, origins.signer("pay-us"));
    const core = receiverOf({}, { live });
    expect(core.onAnswer([answerOf([forged.signed])], 0).changes).toEqual([]);
    expect([...core.refused]).toEqual([["signature", 1]]);
  });

  it("lets go of an object that is not meant for us any more", () => {
    const live = new Map([[objectId(note.payload), heldAt(6)]]);
    const moved = origins.object("shop-eu", "a", 7, { audience: ["shop.example"] });
    expect(receiverOf({}, { live }).onAnswer([answerOf([moved.signed])], 0).changes).toMatchObject([{ kind: "remove", reason: "withdrawn" }]);
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
      core.onHeartbeat(heartbeat, heard(nowMs));
      const waitMs = core.fetchDelayMs(nowMs) ?? Number.NaN;
      waits.push(waitMs);
      nowMs += waitMs;
      core.fetch(nowMs);
      core.onAnswer([answerOf([note.signed], { seq: 10 })], 0);
    }
    expect(waits).toEqual([0, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
  });
});

describe("what a receiver says that it refuses", () => {
  const forged = (key: string, revision: number): OpenedObject => signObject(origins.object("shop-eu", key, revision).payload, origins.signer("pay-us"));
  const heartbeat = (core: ReceiverCore, seq: number, digests: Uint8Array): unknown =>
    core.onHeartbeat({ ...names, ...position, seq, publisherTrustDomain: "demo.atoll", digests, nonce: new Uint8Array(16), sentAtMs: 1, beat: 1 }, heard(0));
  const id = objectId(note.payload);

  it("may be more than it names, until an answer or an equal digest has shown all of it", () => {
    const core = receiverOf();
    expect(core.refusedObjects.mayBeMore).toBe(true);
    expect(heartbeat(core, 10, new Uint8Array(digestsBytes))).toBe("equal");
    expect(core.refusedObjects).toMatchObject({ mayBeMore: false, named: [] });
    const other = receiverOf();
    other.onAnswer([answerOf([note.signed])], 0);
    expect(other.refusedObjects).toMatchObject({ mayBeMore: false, named: [] });
  });

  it("is named with the reason, until a good form of it has come or it is withdrawn", () => {
    const core = receiverOf();
    core.onAnswer([answerOf([note.signed, forged("b", 8).signed])], 0);
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
    core.onAnswer([answerOf(many(() => "Drill"))], 0);
    expect(core.refusedObjects.named).toHaveLength(refusedNamedMax);
    expect(core.refusedObjects).toMatchObject({ kinds: ["Drill"], mayBeMore: false });
    const various = receiverOf();
    various.onAnswer([answerOf(many((index) => `Kind${index}`))], 0);
    expect(various.refusedObjects.kinds).toHaveLength(refusedNamedMax);
    expect(various.refusedObjects.mayBeMore).toBe(true);
    const unreadable = receiverOf();
    unreadable.onAnswer([answerOf([{ ...note.signed, payload: Uint8Array.of(1) }])], 0);
    expect(unreadable.refusedObjects).toMatchObject({ mayBeMore: true, named: [] });
  });
});

/** Heartbeats at the receiver's seq, one after the other. */
const beat = (beatNumber: number, revision: number, rest: Partial<Heartbeat> = {}): Heartbeat => ({
  ...names,
  ...position,
  seq: 10,
  publisherTrustDomain: "demo.atoll",
  digests: new Uint8Array(digestsBytes),
  contentDigests: new Uint8Array(digestsBytes),
  revision,
  nonce: new Uint8Array(0),
  sentAtMs: beatNumber,
  beat: beatNumber,
  ...rest,
});

describe("other content at the generation that is held", () => {
  const other = origins.object("shop-eu", "a", 7, { value: Uint8Array.of(1) });
  const id = objectId(note.payload);
  const live = new Map([[id, heldAt(7, contentHash(note.signed))]]);

  it("makes the digests differ, unless an older publisher sends none of contents", () => {
    const { digests, contentDigests } = receiverOf({}, { live }).fetch(0) as { digests: Uint8Array; contentDigests: Uint8Array };
    const theirs = receiverOf({}, { live: new Map([[id, heldAt(7, contentHash(other.signed))]]) }).fetch(0) as { contentDigests: Uint8Array };
    expect(theirs).toMatchObject({ digests });
    expect(receiverOf({}, { live }).onHeartbeat(beat(1, 200, { digests, contentDigests }), heard(0))).toBe("equal");
    expect(receiverOf({}, { live }).onHeartbeat(beat(1, 200, { digests, contentDigests: theirs.contentDigests }), heard(0))).toBe("differs");
    expect(receiverOf({}, { live }).onHeartbeat(beat(1, 200, { digests, contentDigests: undefined }), heard(0))).toBe("equal");
  });

  it("is taken out of an answer, when it is authentic, and counted", () => {
    const core = receiverOf({}, { live });
    expect(core.onAnswer([answerOf([signObject(other.payload, origins.signer("pay-us")).signed])], 0).changes).toEqual([]);
    expect(core.rewritten).toBe(0);
    expect(core.onAnswer([answerOf([other.signed])], 0).changes).toEqual([{ kind: "put", id, object: other }]);
    expect(core.rewritten).toBe(1);
    expect(core.onAnswer([answerOf([other.signed])], 0).changes).toEqual([]);
  });

  it("is no reason to change anything when only the signature is another", () => {
    const renewed = signObject(note.payload, { ...origins.signer("shop-eu") });
    expect(renewed.signed.signature).not.toEqual(note.signed.signature);
    const core = receiverOf({}, { live });
    expect(core.onAnswer([answerOf([renewed.signed])], 0).changes).toEqual([]);
    expect([...core.refused]).toEqual([]);
  });

  it("is not taken out of a frame, but asked for, and is named as refused until then", () => {
    const core = receiverOf({}, { live });
    expect(core.onFrame(frameOf(other.signed), 0).changes).toEqual([]);
    expect([...core.refused]).toEqual([["content", 1]]);
    expect(core.refusedObjects.named).toEqual([{ id, reason: "content" }]);
    expect(core.fetchDelayMs(0)).toBe(0);
    core.fetch(0);
    core.onAnswer([answerOf([other.signed])], 0);
    expect(core.refusedObjects.named).toEqual([]);
  });
});

describe("a publisher whose store was rolled back", () => {
  const own = origins.object("global", "y", 150);
  const held = new Map([[objectId(own.payload), heldAt(150, contentHash(own.signed))]]);
  const withdrawal: Frame = { ...frameOf(), revision: 149, withdrawn: [objectId(own.payload)] };

  it("has no withdrawal applied that comes from behind an object that is held, and an answer decides", () => {
    const core = receiverOf({}, { live: held });
    expect(core.onFrame(withdrawal, 0)).toMatchObject({ changes: [], cursor: { seq: 10 } });
    expect(core.needsReconcile).toBe(true);
    expect(core.fetchDelayMs(0)).toBe(0);
    core.fetch(0);
    expect(core.onAnswer([answerOf([], { revision: 149 })], 0).changes).toEqual([]);
    expect(core.needsReconcile).toBe(true);
    expect(core.onAnswer([answerOf([], { revision: 150 })], 0).changes).toMatchObject([{ kind: "remove", reason: "swept" }]);
    expect(core.needsReconcile).toBe(false);
  });

  it("has withdrawals applied that it knows from a position that is not behind, and those of an older version", () => {
    expect(receiverOf({}, { live: held }).onFrame({ ...withdrawal, revision: 150 }, 0).changes).toMatchObject([{ kind: "remove" }]);
    expect(receiverOf({}, { live: held }).onFrame({ ...withdrawal, revision: undefined }, 0).changes).toMatchObject([{ kind: "remove" }]);
  });

  it("has nothing of its epoch applied once its heartbeats have shown it, and is asked for nothing", () => {
    const core = receiverOf({}, { live: held });
    core.onHeartbeat(beat(1, 160), heard(0));
    expect(core.onHeartbeat(beat(2, 155), heard(5))).toBe("behind");
    expect(core.cursor).toMatchObject({ behind: { epoch: 1, sinceMs: 1_000_005 }, witness: { revision: 160, beat: 1 } });
    expect(core.onHeartbeat(beat(3, 900), heard(9))).toBe("behind");
    expect(core.onFrame({ ...frameOf(note.signed), revision: 900 }, 0)).toEqual({ changes: [] });
    expect(core.onFrame({ ...withdrawal, revision: 900 }, 0)).toEqual({ changes: [] });
    expect(core.onAnswer([answerOf([note.signed], { revision: 900 })], 0)).toEqual({ changes: [] });
    expect(core.fetchDelayMs(0)).toBeUndefined();
    expect(core.isBehind).toBe(true);
    const after = receiverOf({}, { live: held, cursor: core.cursor });
    expect(after.behind).toEqual({ epoch: 1, sinceMs: 1_000_005 });
    expect(after.onAnswer([answerOf([note.signed], { revision: 900 })], 0)).toEqual({ changes: [] });
    expect(after.onAnswer([answerOf([note.signed], { epoch: 2, stream: "t", seq: 0, revision: 3 })], 0).changes).toMatchObject([{ kind: "put" }, { kind: "remove", reason: "swept" }]);
    expect(after.needsReconcile).toBe(false);
    expect(after.cursor.behind).toBeUndefined();
  });

  it("is not seen in a heartbeat that a frame has overtaken", () => {
    const core = receiverOf();
    core.onFrame({ ...frameOf(own.signed), revision: 150 }, 0);
    expect(core.onHeartbeat(beat(1, 149), heard(0))).toBe("ignored");
    expect(core.needsReconcile).toBe(false);
    core.onHeartbeat(beat(2, 149, { seq: 11 }), heard(0));
    expect(core.behind).toBeDefined();
  });

  it("is not seen in what an earlier life had said before its successor's answer was there, and is in what it says afterwards", () => {
    const core = receiverOf({}, { cursor: emptyReplicaState.cursor });
    core.fetch(0);
    core.onAnswer([answerOf([own.signed], { term: 6, stream: "t" })], 60_000);
    for (let beats = 1; beats <= 59; beats++) core.onHeartbeat(beat(beats, 120), heard(1_000 * beats));
    expect(core.needsReconcile).toBe(false);
    for (let beats = 1; beats <= 5; beats++) core.onHeartbeat(beat(beats, 120, { stream: "u", sentAtMs: 100_000 + beats }), heard(60_000 + 1_000 * beats));
    expect(core.behind).toBeDefined();
  });

  it("is not seen in an answer that was forged: the floor is never above what is signed", () => {
    const core = receiverOf({}, { live: held });
    core.onHeartbeat(beat(1, 150), heard(0));
    core.onAnswer([answerOf([own.signed], { seq: 10, revision: 1_000_000 })], 0);
    expect(core.cursor.floor.revision).toBe(1_000_000);
    core.onHeartbeat(beat(2, 151), heard(0));
    expect(core.cursor.floor.revision).toBe(151);
    core.onAnswer([answerOf([own.signed], { seq: 10, revision: 151 })], 0);
    expect(core.needsReconcile).toBe(false);
  });

  it("is judged by the word of each life of which anything was applied, though that came while the life before might still have spoken", () => {
    const core = receiverOf();
    core.onHeartbeat(beat(1, 160, { incarnation: "first", opened: 10, written: 160 }), heard(0));
    const second = { term: 6, stream: "t" };
    expect(core.onHeartbeat(beat(1, 171, { ...second, seq: 0, incarnation: "second", opened: 170, written: 171 }), heard(500))).toBe("ignored");
    const followedMs = 500 + settleMs;
    core.onFrame({ ...frameOf(), ...second, seq: 1 }, followedMs);
    expect(core.fetchDelayMs(followedMs)).toBe(0);
    core.fetch(followedMs);
    expect(core.onAnswer([answerOf([own.signed], { ...second, seq: 1, revision: 175 })], 0).changes).toMatchObject([{ kind: "put" }]);
    expect(core.cursor).toMatchObject({ stream: "t", witness: { incarnation: "second", written: 171 } });
    // On the machine as it was before the second life; it has come as far meanwhile.
    const third = (beats: number): Heartbeat => beat(beats, 180, { term: 6, stream: "u", seq: 0, incarnation: "third", opened: 170, written: 180, sentAtMs: 100_000 + beats });
    for (let beats = 1; beats <= 5; beats++) core.onHeartbeat(third(beats), heard(100_000 + 1_000 * beats));
    expect(core.behind).toBeDefined();
    expect(core.onAnswer([answerOf([], { term: 6, stream: "u", seq: 1, revision: 181 })], 0)).toEqual({ changes: [] });
  });

  it("is judged after a restart by a witness that is made durable every ten seconds at most", () => {
    const core = receiverOf();
    const kept = (beatNumber: number, nowMs: number): number | undefined => {
      core.onHeartbeat(beat(beatNumber, 100 + beatNumber), heard(nowMs));
      return core.cursor.witness?.beat;
    };
    expect([kept(1, 0), kept(2, 1_000), kept(3, 9_999), kept(4, 10_000), kept(5, 11_000)]).toEqual([1, 1, 1, 4, 4]);
  });
});
