import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareGenerations } from "#federation/model/replicated-object.ts";
import { rolloutStates, type RolloutTarget } from "#federation/model/rollout.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { reachableAgeMsMax, receiverTarget, rolloutOf, type ReceiverEvidence } from "./rollout.ts";

const wanted: Generation = { epoch: 2, revision: 7 };
const has = (generation: Generation | undefined, isAcknowledged = true): ReceiverEvidence["standing"] => ({ generation, isAcknowledged, isWithdrawn: false });
const evidence = (over: Partial<ReceiverEvidence>): ReceiverEvidence => ({ kind: "cluster", name: "shop-eu", standing: undefined, heardAgeMs: 5, behindMs: 0, ...over });

describe("a receiver of a write", () => {
  it.each([
    ["has acknowledged this very form", has(wanted), wanted, "done"],
    ["has acknowledged a later form", has({ epoch: 2, revision: 8 }), wanted, "done"],
    ["has acknowledged a form of a later life of the store", has({ epoch: 3, revision: 1 }), wanted, "done"],
    ["was sent it and has not acknowledged it", has(wanted, false), wanted, "pending"],
    ["has acknowledged an older form only", has({ epoch: 2, revision: 6 }), wanted, "pending"],
    ["has a higher revision of an earlier life of the store", has({ epoch: 1, revision: 99 }), wanted, "pending"],
    ["was never offered it", has(undefined), wanted, "pending"],
    ["has no stream yet", undefined, wanted, "pending"],
    ["has acknowledged that it is gone", has(undefined), undefined, "done"],
    ["was told that it is gone", has(undefined, false), undefined, "pending"],
    ["is still offered what was deleted", has(wanted), undefined, "pending"],
  ] as const)("that %s", (_, standing, generation, state) => {
    expect(receiverTarget(evidence({ standing }), generation).state).toBe(state);
  });

  it("that is not heard is unreachable, for as long as it has not acknowledged", () => {
    const silent = { heardAgeMs: reachableAgeMsMax + 1.5, behindMs: 12.7 };
    expect(receiverTarget(evidence({ ...silent, standing: has(wanted, false) }), wanted)).toEqual({ kind: "cluster", name: "shop-eu", state: "unreachable", heardAgeMs: reachableAgeMsMax + 1, behindMs: 12 });
    expect(receiverTarget(evidence({ ...silent, standing: has(wanted) }), wanted)).toMatchObject({ state: "done" });
    expect(receiverTarget(evidence({ heardAgeMs: undefined }), wanted)).toEqual({ kind: "cluster", name: "shop-eu", state: "unreachable" });
  });

  it("that holds it and refuses it says why", () => {
    const standing = { generation: wanted, isAcknowledged: true, isWithdrawn: false, refusal: "signature" };
    expect(receiverTarget(evidence({ standing }), wanted)).toMatchObject({ state: "refused", reason: "signature" });
  });

  it("is done only by an acknowledgement of what is at least what is wanted, whatever else is known", () => {
    const generations = fc.record({ epoch: fc.nat(3), revision: fc.nat(3) });
    fc.assert(
      fc.property(fc.option(generations, { nil: undefined }), fc.option(generations, { nil: undefined }), fc.boolean(), fc.option(fc.nat(10_000), { nil: undefined }), (held, asked, isAcknowledged, heardAgeMs) => {
        const { state } = receiverTarget(evidence({ standing: has(held, isAcknowledged), heardAgeMs }), asked);
        const holds = held === undefined || asked === undefined ? held === asked : compareGenerations(held, asked) >= 0;
        expect(state === "done").toBe(isAcknowledged && holds);
      }),
    );
  });
});

describe("a rollout", () => {
  const target = (name: string, state: RolloutTarget["state"]): RolloutTarget => ({ kind: "cluster", name, state });
  const subject = { kind: "TrafficPolicy", id: "web/slow", generation: wanted } as const;

  it("names those of whom something is missing first, and counts all", () => {
    const rollout = rolloutOf(subject, [target("a", "done"), target("d", "pending"), target("b", "unreachable"), target("c", "done")]);
    expect(rollout.targets.map(({ name }) => name)).toEqual(["b", "d", "a", "c"]);
    expect(rollout).toMatchObject({ ...subject, done: false, counts: { done: 2, pending: 1, unreachable: 1, refused: 0 } });
  });

  it("names proxies after all others, however many of them miss it", () => {
    const proxy = (name: string, state: RolloutTarget["state"]): RolloutTarget => ({ kind: "proxy", name, state });
    const { targets } = rolloutOf(subject, [proxy("a", "pending"), proxy("b", "done"), { kind: "plane", name: "z", state: "done" }, proxy("c", "refused")]);
    expect(targets.map(({ name }) => name)).toEqual(["z", "a", "c", "b"]);
  });

  it("is done when everybody is, also when there is nobody", () => {
    expect(rolloutOf(subject, []).done).toBe(true);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...rolloutStates)), (states) => {
        const { done, counts, targets } = rolloutOf(subject, states.map((state, index) => target(`c${index}`, state)));
        expect(done).toBe(states.every((state) => state === "done"));
        expect(Object.values(counts).reduce((sum, one) => sum + one, 0)).toBe(states.length);
        expect(targets).toHaveLength(states.length);
      }),
    );
  });
});
