import { describe, expect, it } from "vitest";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import type { FetchAnswer, Frame, Heartbeat } from "#federation/model/replication-messages.ts";
import { openObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { contentHash, ObjectDigests, bucketOf } from "./digest-table.ts";
import { ReceiverCore } from "./receiver.ts";
import { emptyReplicaState, type HeldObject } from "./replica-state.ts";
import { brakeWindowMs, type BrakeRules } from "./withdrawal-brake.ts";

const origins = new TestOrigins();
const names = { federation: "demo.atoll", publisher: "global", audience: "pay-eu" };
const position = { epoch: 1, term: 5, stream: "s" };

/** A receiver that holds `objects` and stands at seq 10 of the global plane's stream. */
function receiverOf(objects: readonly OpenedObject[], { brake = { rightsKinds: ["Right"], freeMax: 0 }, isHoldingBack = false }: { readonly brake?: BrakeRules; readonly isHoldingBack?: boolean } = {}): ReceiverCore {
  const live = new Map(objects.map(({ payload, signed }): [string, HeldObject] => [idOf(payload), { generation: payload.generation, content: contentHash(signed) }]));
  const cursor = { ...position, seq: 10, floor: { epoch: 1, revision: 1 }, ...(isHoldingBack ? { isHoldingBack } : {}) };
  return new ReceiverCore({ names, origins: "any", open: openObject, isAuthentic: () => true, brake }, { ...emptyReplicaState, cursor, live });
}

const idOf = ({ origin, kind, key }: OpenedObject["payload"]): string => `${origin}/${kind}/${key}`;

function notes(count: number, origin = "global"): readonly OpenedObject[] {
  return Array.from({ length: count }, (_, index) => origins.object(origin, `k${index}`, 2 + index));
}

const idsOf = (objects: readonly OpenedObject[]): readonly string[] => objects.map(({ payload }) => idOf(payload));

function withdraw(core: ReceiverCore, ids: readonly string[], nowMs = 0): readonly string[] {
  const frame: Frame = { ...names, ...position, seq: core.cursor.seq + 1, entries: [], withdrawn: ids };
  return core.onFrame(frame, nowMs).changes.map(({ id }) => id);
}

function answer(core: ReceiverCore, offered: readonly OpenedObject[], rest: Partial<FetchAnswer> = {}): readonly string[] {
  const buckets = Uint8Array.from({ length: 256 }, (_, bucket) => bucket);
  const said: FetchAnswer = { ...names, ...position, seq: core.cursor.seq, revision: 500, buckets, answer: "x", part: 0, parts: 1, entries: offered.map(({ signed }) => signed), ...rest };
  return core.onAnswer([said], 0).changes.map(({ kind, id }) => `${kind} ${id}`);
}

function heartbeatOf(offered: readonly OpenedObject[], seq: number): Heartbeat {
  const digests = new ObjectDigests();
  for (const { payload, signed } of offered) digests.toggle(idOf(payload), { bucket: bucketOf(idOf(payload)), generation: payload.generation, content: contentHash(signed) });
  const said = digests.bytes();
  return { ...names, ...position, seq, publisherTrustDomain: "demo.atoll", ...said, nonce: new Uint8Array(16), sentAtMs: 1, beat: 1 };
}

describe("withdrawals that nothing explains", () => {
  it("go up to a fifth of the publisher's objects, never to the last one, and are held back beyond", () => {
    const ten = receiverOf(notes(10));
    expect(withdraw(ten, ["global/Note/k0", "global/Note/k1"])).toHaveLength(2);
    expect(ten.heldBack.size).toBe(0);
    expect(withdraw(ten, ["global/Note/k2"])).toEqual([]);
    expect([...ten.heldBack.keys()]).toEqual(["global/Note/k2"]);
    const one = receiverOf(notes(1));
    expect(withdraw(one, ["global/Note/k0"])).toEqual([]);
    expect(one.heldBack.size).toBe(1);
  });

  it("are asked for again, since a signed deletion that was lost stands outside the digests", () => {
    const objects = notes(3);
    const [gone, ...left] = objects;
    if (gone === undefined) throw new Error("there are notes");
    const core = receiverOf(objects);
    expect(withdraw(core, [idOf(gone.payload)])).toEqual([]);
    const heard = { nowMs: 1_000, wallMs: 1_000, encoded: new Uint8Array(0) };
    expect(core.onHeartbeat(heartbeatOf(left, 11), heard)).toBe("equal");
    expect([core.isBehind, core.fetchDelayMs(1_000)]).toEqual([false, 0]);
    // What the publisher holds besides is the tombstone.
    const request = core.fetch(1_000);
    if (request.kind !== "differing") throw new Error("all is asked for");
    const published = heartbeatOf(left, 11);
    const isAsked = (bucket: number): boolean => Buffer.compare(request.digests.subarray(bucket * 8, bucket * 8 + 8), published.digests.subarray(bucket * 8, bucket * 8 + 8)) !== 0;
    const buckets = Uint8Array.from({ length: 256 }, (_, bucket) => bucket).filter(isAsked);
    expect([...buckets]).toEqual([bucketOf(idOf(gone.payload))]);
    const tombstone = origins.object("global", gone.payload.key, 400, { tombstone: true });
    expect(answer(core, [tombstone], { buckets })).toEqual([`remove ${idOf(gone.payload)}`]);
    expect(core.heldBack.size).toBe(0);
    expect(core.onHeartbeat({ ...heartbeatOf(left, 11), beat: 2 }, { ...heard, nowMs: 2_000 })).toBe("equal");
    expect(core.fetchDelayMs(2_000)).toBeUndefined();
  });

  it("are counted within a minute, so that many small ones are no way around", () => {
    const slow = receiverOf(notes(10));
    for (let index = 0; index < 4; index++) expect(withdraw(slow, [`global/Note/k${index}`], index * brakeWindowMs)).toHaveLength(1);
    const fast = receiverOf(notes(10));
    expect([0, 1, 2, 3].map((index) => withdraw(fast, [`global/Note/k${index}`], index * 1_000).length)).toEqual([1, 1, 0, 0]);
  });

  it("go in a number that the rules allow, however few there are", () => {
    const core = receiverOf(notes(6), { brake: { rightsKinds: [], freeMax: 5 } });
    expect(withdraw(core, idsOf(notes(5)))).toHaveLength(5);
    expect(withdraw(core, ["global/Note/k5"])).toEqual([]);
  });

  it("go all of them where they are of rights, which are revoked so, and where no brake is wanted", () => {
    const rights = Array.from({ length: 10 }, (_, index) => origins.object("global", `k${index}`, 2 + index, { kind: "Right" }));
    expect(withdraw(receiverOf([...rights, ...notes(3)]), idsOf(rights))).toHaveLength(10);
    const holding = receiverOf([...rights, ...notes(3)]);
    expect(withdraw(holding, [...idsOf(notes(3)), ...idsOf(rights)])).toEqual(idsOf(rights));
  });

  it("go when they are deletions that their origin has signed, also of what is held back", () => {
    const held = notes(4);
    const core = receiverOf(held);
    const tombstones = held.map(({ payload }) => origins.object("global", payload.key, 100, { tombstone: true }).signed);
    const step = core.onFrame({ ...names, ...position, seq: 11, entries: tombstones.slice(0, 2), withdrawn: ["global/Note/k2", "global/Note/k3"] }, 0);
    expect(step.changes.map(({ id }) => id)).toEqual(["global/Note/k0", "global/Note/k1"]);
    expect(core.heldBack.size).toBe(2);
    expect(core.onFrame({ ...names, ...position, seq: 12, entries: tombstones.slice(2), withdrawn: [] }, 0).changes.map(({ id }) => id)).toEqual(["global/Note/k2", "global/Note/k3"]);
    expect(core.cursor.isHoldingBack).toBeUndefined();
  });

  it("of what is relayed go by themselves, and are held back along with the publisher's own", () => {
    const relayed = notes(6, "shop-eu");
    expect(withdraw(receiverOf([...notes(6), ...relayed]), idsOf(relayed))).toHaveLength(6);
    const core = receiverOf([...notes(6), ...relayed]);
    expect(withdraw(core, [...idsOf(notes(6)), ...idsOf(relayed)])).toEqual([]);
    expect(core.heldBack.size).toBe(12);
  });

  it("of what is relayed go while the publisher's own are held back", () => {
    const relayed = notes(6, "shop-eu");
    const core = receiverOf([...notes(6), ...relayed]);
    expect(withdraw(core, idsOf(notes(5)))).toEqual([]);
    expect(withdraw(core, ["shop-eu/Note/k0"])).toEqual(["shop-eu/Note/k0"]);
    expect(withdraw(core, ["global/Note/k5", "shop-eu/Note/k1"])).toEqual(["shop-eu/Note/k1"]);
    expect([...core.heldBack.keys()]).toEqual(idsOf(notes(6)));
    expect(answer(core, relayed.slice(3), { revision: 600 })).toEqual(["remove shop-eu/Note/k2"]);
    expect(core.heldBack.size).toBe(6);
  });
});

describe("what is held back", () => {
  it("stands outside the digests, so that the publisher's offer is seen to be whole, and is offered again as it was or anew", () => {
    const held = notes(4);
    const core = receiverOf(held);
    withdraw(core, idsOf(held));
    expect(core.onHeartbeat(heartbeatOf([], 11), { nowMs: 0, wallMs: 0, encoded: new Uint8Array(1) })).toBe("equal");
    const [first, second] = held;
    const newer = origins.object("global", "k1", 90);
    const step = core.onFrame({ ...names, ...position, seq: 12, entries: [first?.signed, newer.signed].flatMap((signed) => signed ?? []), withdrawn: [] }, 0);
    expect(step.changes.map(({ id }) => id)).toEqual(idsOf([second].flatMap((one) => one ?? [])));
    expect([...core.heldBack.keys()]).toEqual(["global/Note/k2", "global/Note/k3"]);
    expect(core.onHeartbeat({ ...heartbeatOf([first, newer].flatMap((one) => one ?? []), 12), beat: 2 }, { nowMs: 0, wallMs: 0, encoded: new Uint8Array(1) })).toBe("equal");
    expect(core.cursor.isHoldingBack).toBe(true);
  });

  it("is what the first answer of a new epoch lacks, relayed or not, unless an operator has decided on that epoch", () => {
    const held = [...notes(3), ...notes(3, "shop-eu")];
    const undecided = receiverOf(held);
    expect(answer(undecided, [], { epoch: 2, term: 1, stream: "t", seq: 0 })).toEqual([]);
    expect(undecided.heldBack.size).toBe(6);
    expect(undecided.cursor).toMatchObject({ epoch: 2, isHoldingBack: true });
    const decided = receiverOf(held);
    decided.letGo(2);
    expect(answer(decided, [], { epoch: 2, term: 1, stream: "t", seq: 0 })).toHaveLength(6);
    const later = receiverOf(held);
    later.letGo(2);
    expect(answer(later, [], { epoch: 3, term: 1, stream: "t", seq: 0 })).toEqual([]);
  });

  it("goes at an operator's word, and the next ones are judged anew", () => {
    const core = receiverOf(notes(10));
    withdraw(core, idsOf(notes(5)));
    expect(core.letGo()).toMatchObject({ changes: idsOf(notes(5)).map((id) => ({ kind: "remove", id, reason: "withdrawn" })) });
    expect(core.cursor.isHoldingBack).toBeUndefined();
    expect(withdraw(core, ["global/Note/k5"])).toHaveLength(1);
    expect(withdraw(core, ["global/Note/k6"])).toEqual([]);
  });

  it("is held back over a restart, however little it is by then, until the publisher has answered", () => {
    const left = notes(100);
    const core = receiverOf(left, { isHoldingBack: true });
    expect(answer(core, left.slice(1))).toEqual([]);
    expect([...core.heldBack.keys()]).toEqual(["global/Note/k0"]);
    const offered = receiverOf(left, { isHoldingBack: true });
    expect(answer(offered, left)).toEqual([]);
    expect(offered.cursor.isHoldingBack).toBeUndefined();
    expect(withdraw(offered, ["global/Note/k0"])).toHaveLength(1);
    const equal = receiverOf(left, { isHoldingBack: true });
    expect(equal.onHeartbeat(heartbeatOf(left, 10), { nowMs: 0, wallMs: 0, encoded: new Uint8Array(1) })).toBe("equal");
    expect(equal.cursor.isHoldingBack).toBeUndefined();
  });
});
