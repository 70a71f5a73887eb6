import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { objectId } from "#federation/model/replicated-object.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import { digestsBytes, frameBytesMax, type Acknowledgement } from "#federation/model/replication-messages.ts";
import { encodeFetchAnswer, encodeFrame } from "#federation/wire/frames.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { openObject, signObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { batchWindowMs, PublisherCore } from "./publisher.ts";
import type { PublishedState } from "./publisher.ts";
import { heldBackReason, refusedNamedMax } from "./refused-objects.ts";

const origins = new TestOrigins();
const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };
const everythingDiffers = { kind: "differing", digests: new Uint8Array(digestsBytes) } as const;

function stateOf(...objects: readonly OpenedObject[]): PublishedState {
  const revision = Math.max(0, ...objects.map(({ payload }) => payload.generation.revision));
  return { revision, objects: new Map(objects.map((object) => [objectId(object.payload), object])) };
}

function ack(seq: number, stream = "s", rest: Partial<Acknowledgement> = {}): Acknowledgement {
  return { receiver: "global", stream, seq, appliedAtMs: 5, refused: [], refusedKinds: [], mayRefuseMore: false, needsReconcile: false, ...rest };
}

function publisherOf(state: PublishedState): PublisherCore {
  return new PublisherCore(names, { epoch: 1, term: 1, stream: "s" }, state, 0);
}

describe("a publisher", () => {
  const a1 = origins.object("shop-eu", "a", 1);
  const b2 = origins.object("shop-eu", "b", 2);

  it("sends the first change at once and gathers those that follow within the window", () => {
    const core = publisherOf(stateOf());
    core.update(stateOf(a1));
    expect(core.flushDelayMs(1000)).toBe(0);
    expect(core.flush(1000)).toHaveLength(1);
    core.update(stateOf(a1, b2));
    expect(core.flushDelayMs(1010)).toBe(batchWindowMs - 10);
    core.update(stateOf(a1, b2, origins.object("shop-eu", "c", 3)));
    const frames = core.flush(1000 + batchWindowMs);
    expect(frames.map(({ seq, entries }) => [seq, entries.length])).toEqual([[2, 2]]);
    expect(core.flushDelayMs(2000)).toBeUndefined();
  });

  it("brings a receiver to the newest state with each flush, whatever came between, from maps of either kind", () => {
    const keys = ["a", "b", "c"];
    const versions = keys.map((key) => Array.from({ length: 4 }, (_, at) => origins.object("shop-eu", key, at + 1, { tombstone: at === 3 })));
    const step = fc.record({ act: fc.constantFrom("set", "remove", "flush", "newest"), key: fc.nat(keys.length - 1), version: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, isOrdered) => {
        let objects: ReadonlyMap<string, OpenedObject> = isOrdered ? OrderedMap.of() : new Map();
        const received = new Map<string, OpenedObject>();
        const core = publisherOf({ revision: 0, objects });
        const flush = (): void => {
          for (const { entries, withdrawn } of core.flush(0)) {
            for (const id of withdrawn) received.delete(id);
            for (const entry of entries) received.set(objectId(openObject(entry).payload), openObject(entry));
          }
          // Nobody is told that a tombstone is let go.
          const texts = (map: ReadonlyMap<string, OpenedObject>): readonly string[] => [...map].filter(([, { payload }]) => !payload.tombstone).map(([id, { payload }]) => `${id} ${payload.generation.revision}`).toSorted();
          expect(texts(received)).toEqual(texts(objects));
          expect(core.flushDelayMs(0)).toBeUndefined();
        };
        for (const { act, key, version } of steps) {
          const object = versions[key]?.[version] as OpenedObject;
          const next = new Map(objects);
          if (act === "flush") flush();
          if (act === "set") next.set(objectId(object.payload), object);
          if (act === "remove") next.delete(objectId(object.payload));
          // The ordered one shares what did not change; the other one is made anew.
          if (!(objects instanceof OrderedMap)) objects = next;
          else if (act === "set") objects = objects.with(objectId(object.payload), object);
          else if (act === "remove") objects = objects.without(objectId(object.payload));
          if (act !== "flush") core.update({ revision: 1, objects });
        }
        flush();
      }),
    );
  });

  it("never lets a withdrawal or a deletion wait", () => {
    const core = publisherOf(stateOf(a1, b2));
    core.update(stateOf(a1, b2, origins.object("shop-eu", "c", 3)));
    core.flush(1000);
    core.update(stateOf(a1));
    expect(core.flushDelayMs(1001)).toBe(0);
    core.flush(1001);
    core.update(stateOf(origins.object("shop-eu", "a", 9, { tombstone: true })));
    expect(core.flushDelayMs(1002)).toBe(0);
  });

  it("says nothing when a change is taken back before it was sent, or a tombstone is let go", () => {
    const core = publisherOf(stateOf(a1));
    core.update(stateOf(a1, b2));
    core.update(stateOf(a1));
    expect(core.flush(0)).toEqual([]);
    core.update(stateOf(origins.object("shop-eu", "a", 9, { tombstone: true })));
    expect(core.flush(0)).toHaveLength(1);
    const { digests } = core.summary();
    core.update(stateOf());
    expect(core.flush(0)).toEqual([]);
    expect(core.summary().digests).toEqual(digests);
  });

  it("splits what does not fit a frame, and an answer in parts is of one moment", () => {
    const large = Array.from({ length: 12 }, (_, index) => origins.object("shop-eu", `k${index}`, index + 1, { value: new Uint8Array(60 * 1024) }));
    const core = publisherOf(stateOf());
    core.update(stateOf(...large));
    const frames = core.flush(0);
    expect(frames.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    for (const frame of frames) expect(encodeFrame(frame).length).toBeLessThanOrEqual(frameBytesMax);

    const first = core.answer(everythingDiffers, 0);
    expect(first.parts).toBe(4);
    core.update(stateOf(a1));
    core.flush(0);
    const rest = [1, 2, 3].map((part) => core.answer({ kind: "part", answer: first.answer, part }, 0));
    const parts = [first, ...rest];
    for (const part of parts) expect(encodeFetchAnswer(part).length).toBeLessThanOrEqual(frameBytesMax);
    expect(parts.map(({ seq }) => seq)).toEqual([4, 4, 4, 4]);
    const keys = parts.flatMap(({ entries }) => entries.map((signed) => openObject(signed).payload.key));
    expect(keys.sort()).toEqual(large.map(({ payload }) => payload.key).sort());
    // The reply to the last one may be lost as well.
    expect(core.answer({ kind: "part", answer: first.answer, part: 3 }, 0)).toEqual(rest.at(-1));
    expect(core.answer({ kind: "part", answer: first.answer, part: 4 }, 0).parts).toBe(0);
    expect(core.answer({ kind: "part", answer: "s.99", part: 1 }, 0).parts).toBe(0);
  });

  it("answers only about the buckets that differ", () => {
    const core = publisherOf(stateOf(a1, b2));
    const held = publisherOf(stateOf(a1));
    const answer = core.answer({ kind: "differing", ...held.summary() }, 0);
    expect(answer.entries.map((signed) => openObject(signed).payload.key)).toEqual(["b"]);
    expect(core.answer({ kind: "differing", ...core.summary() }, 0)).toMatchObject({ entries: [], parts: 1, buckets: new Uint8Array(0) });
  });

  it("answers by content whoever compares it, and by generation whoever is older", () => {
    const other = origins.object("shop-eu", "a", 1, { value: Uint8Array.of(1) });
    const core = publisherOf(stateOf(other, b2));
    const { digests, contentDigests } = publisherOf(stateOf(a1, b2)).summary();
    expect(core.answer({ kind: "differing", digests, contentDigests }, 0).entries).toEqual([other.signed]);
    expect(core.answer({ kind: "differing", digests }, 0).entries).toEqual([]);
  });

  it("sends another content of the same generation, and only keeps another signature of the same content to answer with", () => {
    const core = publisherOf(stateOf(a1));
    core.update(stateOf(origins.object("shop-eu", "a", 1, { value: Uint8Array.of(1) })));
    expect(core.flush(0)).toHaveLength(1);
    core.update(stateOf(a1));
    core.flush(100);
    const renewed = signObject(a1.payload, origins.signer("shop-eu"));
    core.update(stateOf(renewed));
    expect(core.flush(200)).toEqual([]);
    expect(core.answer(everythingDiffers, 0).entries).toEqual([renewed.signed]);
  });

  it("says which position of its store its frames and heartbeats reflect", () => {
    const core = publisherOf(stateOf(a1));
    expect(core.summary().revision).toBe(1);
    core.update(stateOf(a1, b2));
    expect(core.summary().revision).toBe(1);
    expect(core.flush(0)).toMatchObject([{ revision: 2 }]);
    expect(core.summary().revision).toBe(2);
  });

  it("knows since when its receiver is behind", () => {
    const core = publisherOf(stateOf());
    expect(core.lag(10)).toMatchObject({ acknowledgedSeq: undefined, behindMs: 10 });
    core.acknowledge(ack(0), 0);
    expect(core.lag(20)).toMatchObject({ acknowledgedSeq: 0, behindMs: 0 });
    core.update(stateOf(a1));
    core.flush(100);
    core.update(stateOf(a1, b2));
    core.flush(200);
    expect(core.lag(250)).toMatchObject({ publishedSeq: 2, acknowledgedSeq: 0, behindMs: 150 });
    expect(core.acknowledge(ack(1), 0)).toBe(true);
    expect(core.lag(250).behindMs).toBe(50);
    expect(core.acknowledge(ack(2, "another"), 0)).toBe(false);
    expect(core.acknowledge(ack(99), 0)).toBe(false);
    core.acknowledge(ack(2), 0);
    expect(core.lag(900).behindMs).toBe(0);
  });

  describe("asked what its receiver has of an object", () => {
    const id = objectId(a1.payload);
    const acknowledge = (core: PublisherCore, seq: number): boolean => core.acknowledge(ack(seq), 0);

    it("counts what was there from the beginning once the stream itself is acknowledged", () => {
      const core = publisherOf(stateOf(a1));
      expect(core.standing(id)).toEqual({ generation: a1.payload.generation, isWithdrawn: false, isAcknowledged: false });
      acknowledge(core, 0);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: true });
      expect(core.standing("shop-eu/Note/never")).toEqual({ generation: undefined, isWithdrawn: false, isAcknowledged: true });
    });

    it("counts a change from the acknowledgement of its own frame, and not of an earlier or an unsent one", () => {
      const core = publisherOf(stateOf(a1));
      acknowledge(core, 0);
      const a3 = origins.object("shop-eu", "a", 3);
      core.update(stateOf(a1, b2));
      core.flush(0);
      core.update(stateOf(a3, b2));
      expect(core.standing(id)).toMatchObject({ generation: a1.payload.generation, isAcknowledged: true });
      core.flush(1000);
      acknowledge(core, 1);
      expect(core.standing(id)).toMatchObject({ generation: a3.payload.generation, isAcknowledged: false });
      acknowledge(core, 2);
      expect(core.standing(id)).toMatchObject({ generation: a3.payload.generation, isAcknowledged: true });
    });

    it("does not take the acknowledgement of a frame for an object that the receiver refuses, or may refuse without naming it", () => {
      const core = publisherOf(stateOf(a1, b2));
      core.acknowledge(ack(0, "s", { refused: [{ id, reason: "signature" }] }), 0);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: true, refusal: "signature" });
      expect(core.standing(objectId(b2.payload))).toEqual({ generation: b2.payload.generation, isWithdrawn: false, isAcknowledged: true });
      core.acknowledge(ack(0, "s", { refused: [{ id, reason: "signature" }], mayRefuseMore: true }), 0);
      expect(core.standing(objectId(b2.payload))).toMatchObject({ isAcknowledged: false });
      expect(core.standing(id)).toMatchObject({ isAcknowledged: true, refusal: "signature" });
      core.acknowledge(ack(0, "s", { refusedKinds: ["Note"] }), 0);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: false });
      core.acknowledge(ack(0, "s", { refusedKinds: ["Drill"] }), 0);
      expect(core.standing(id)).toEqual({ generation: a1.payload.generation, isWithdrawn: false, isAcknowledged: true });
    });

    it("does not take a withdrawal for done that the receiver holds back, or may hold back without naming it", () => {
      const core = publisherOf(stateOf(a1, b2));
      core.update(stateOf());
      core.flush(0);
      core.acknowledge(ack(1, "s", { refused: [{ id, reason: heldBackReason }] }), 0);
      expect(core.standing(id)).toEqual({ generation: undefined, isWithdrawn: true, isAcknowledged: true, refusal: heldBackReason });
      expect(core.standing(objectId(b2.payload))).toEqual({ generation: undefined, isWithdrawn: true, isAcknowledged: true });
      core.acknowledge(ack(1, "s", { refused: Array.from({ length: refusedNamedMax }, (_, index) => ({ id: `shop-eu/Note/k${index}`, reason: heldBackReason })) }), 0);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: false });
    });

    it("takes nothing for done of a receiver that applies nothing until somebody decides", () => {
      const core = publisherOf(stateOf(a1));
      acknowledge(core, 0);
      core.acknowledge(ack(0, "s", { needsReconcile: true }), 0);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: false });
      expect(core.lag(0)).toMatchObject({ needsReconcile: true });
      core.acknowledge(ack(7, "of an earlier life", { needsReconcile: true }), 0);
      expect(core.lag(0)).toMatchObject({ needsReconcile: true });
      acknowledge(core, 0);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: true });
    });

    it("counts a withdrawal in the same way, also when so many followed that it is forgotten", () => {
      const core = publisherOf(stateOf(a1));
      acknowledge(core, 0);
      core.update(stateOf());
      core.flush(0);
      expect(core.standing(id)).toEqual({ generation: undefined, isWithdrawn: true, isAcknowledged: false });
      const many = Array.from({ length: 1_100 }, (_, index) => origins.object("shop-eu", `k${index}`, index + 2));
      core.update(stateOf(...many));
      core.flush(1000);
      core.update(stateOf());
      core.flush(2000);
      expect(core.standing(id)).toEqual({ generation: undefined, isWithdrawn: false, isAcknowledged: false });
      acknowledge(core, core.position.seq);
      expect(core.standing(id)).toMatchObject({ isAcknowledged: true });
    });
  });
});
