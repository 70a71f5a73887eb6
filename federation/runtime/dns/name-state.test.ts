import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressesOfName, addressesPerNameMax, afterAnswer, resultOf, ttlMsMax, ttlMsMin, unaskedName, type FamilyAnswer, type NameAnswer, type NameState } from "./name-state.ts";

const none: FamilyAnswer = { kind: "none" };
const failed: FamilyAnswer = { kind: "failed", reason: "SERVFAIL" };
const found = (ttlMs: number, ...addresses: string[]): FamilyAnswer => ({ kind: "found", addresses, ttlMs });
const after = (state: NameState, v4: FamilyAnswer, v6: FamilyAnswer = none, nowMs = 0, spread = 0): NameState => afterAnswer(state, { v4, v6 }, { nowMs, wallMs: nowMs, spread });
const fresh = unaskedName(undefined, 0);

const v4Address = fc.tuple(fc.nat(255), fc.nat(255)).map(([third, last]) => `127.0.${third}.${last}`);
const v6Address = fc.nat(0xffff).map((last) => `fd00::${last.toString(16)}`);
const familyAnswer = (address: fc.Arbitrary<string>): fc.Arbitrary<FamilyAnswer> =>
  fc.oneof(
    fc.record({ kind: fc.constant("found" as const), addresses: fc.array(address, { minLength: 1, maxLength: 80 }), ttlMs: fc.integer({ min: 0, max: 10_000_000 }) }),
    fc.constant(none),
    fc.constant(failed),
  );
const answers: fc.Arbitrary<NameAnswer> = fc.record({ v4: familyAnswer(v4Address), v6: familyAnswer(v6Address) });

describe("a name", () => {
  it("stands for every address of its answer, each once, in the same order whatever that of the answer", () => {
    const one = after(fresh, found(5_000, "10.0.0.2", "10.0.0.1", "10.0.0.2"), found(5_000, "fd00::1"));
    const other = after(fresh, found(5_000, "10.0.0.1", "10.0.0.2"), found(5_000, "fd00::1"));
    expect(addressesOfName(one)).toEqual(["10.0.0.1", "10.0.0.2", "fd00::1"]);
    expect(addressesOfName(other)).toEqual(addressesOfName(one));
  });

  it("gives up what a new answer does not hold", () => {
    const held = after(fresh, found(5_000, "10.0.0.1", "10.0.0.2"));
    expect(addressesOfName(after(held, found(5_000, "10.0.0.2", "10.0.0.3")))).toEqual(["10.0.0.2", "10.0.0.3"]);
  });

  it("keeps what it held when the resolver fails, and when it says that there is no such name", () => {
    const held = after(fresh, found(5_000, "10.0.0.1"));
    for (const answer of [failed, none]) expect(addressesOfName(after(held, answer, answer))).toEqual(["10.0.0.1"]);
  });

  it("keeps the addresses of a family that failed beside one that answered", () => {
    const held = after(fresh, found(5_000, "10.0.0.1"), found(5_000, "fd00::1"));
    expect(addressesOfName(after(held, found(5_000, "10.0.0.2"), failed))).toEqual(["10.0.0.2", "fd00::1"]);
    expect(addressesOfName(after(held, found(5_000, "10.0.0.2"), none))).toEqual(["10.0.0.2"]);
  });

  it("is asked again when the shorter of two lives is over, not before and at most half a second later", () => {
    expect(after(fresh, found(60_000, "10.0.0.1"), found(20_000, "fd00::1"), 1_000).askAtMs).toBe(21_000);
    expect(after(fresh, found(60_000, "10.0.0.1"), none, 1_000, 0.999).askAtMs).toBeLessThan(61_500);
  });

  it("is asked later after each failure, up to 15 s, and forgets that with the next answer", () => {
    let state = fresh;
    const pausesMs: number[] = [];
    for (let count = 0; count < 7; count++) {
      state = after(state, failed, failed, 0, 0.5);
      pausesMs.push(state.askAtMs);
    }
    expect(pausesMs).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(state).toMatchObject({ failures: 7, problem: "SERVFAIL", asked: true });
    expect(after(state, found(5_000, "10.0.0.1"))).toMatchObject({ failures: 0, problem: undefined });
  });

  it("starts with what an earlier life left, and is asked at once", () => {
    const state = unaskedName({ addresses: ["10.0.0.1", "fd00::1"], asOfMs: 77 }, 500);
    expect(state).toMatchObject({ v4: ["10.0.0.1"], v6: ["fd00::1"], asOfMs: 77, askAtMs: 500, asked: false });
    expect(addressesOfName(after(state, failed, failed))).toEqual(["10.0.0.1", "fd00::1"]);
  });

  it("never loses its last address, never holds more than its bound, and is asked within its bounds, whatever is answered", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(answers, fc.double({ min: 0, max: 0.999, noNaN: true })), { maxLength: 30 }), (steps) => {
        let state = fresh;
        let nowMs = 0;
        for (const [answer, spread] of steps) {
          const before = addressesOfName(state);
          state = afterAnswer(state, answer, { nowMs, wallMs: nowMs, spread });
          const addresses = addressesOfName(state);
          if (before.length > 0) expect(addresses.length).toBeGreaterThan(0);
          if (resultOf(answer) !== "found") expect(addresses).toEqual(before);
          expect(addresses.length).toBeLessThanOrEqual(addressesPerNameMax);
          expect(new Set(addresses).size).toBe(addresses.length);
          const pauseMs = state.askAtMs - nowMs;
          const lives = [answer.v4, answer.v6].flatMap((family) => (family.kind === "found" ? [family.ttlMs] : []));
          const ttlMs = Math.min(ttlMsMax, Math.max(ttlMsMin, Math.min(...lives)));
          if (lives.length > 0) {
            expect(pauseMs).toBeGreaterThanOrEqual(ttlMs);
            expect(pauseMs).toBeLessThanOrEqual(ttlMs + 500);
          } else {
            expect(pauseMs).toBeGreaterThanOrEqual(750);
            expect(pauseMs).toBeLessThanOrEqual(18_750);
          }
          // Whole numbers, so that sums of them are exact.
          nowMs = Math.ceil(state.askAtMs);
        }
      }),
    );
  });
});
