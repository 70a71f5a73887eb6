import { describe, expect, it } from "vitest";
import { checkHistory } from "./check-history.ts";
import type { History, Outcome, Seen, Sighting, Write } from "./history.ts";

const registers = [{ id: "shop-one/a", origin: "shop-one", audience: ["shop-two"] }];

/** Written from `atMs` on, for 10 ms. */
const write = (value: number, atMs: number, outcome: Outcome = "ok"): Write => ({ register: "shop-one/a", value, invokedMs: atMs, returnedMs: atMs + 10, outcome });

const sight = (plane: string, value: number, atMs: number, more: Partial<Sighting> & { readonly generation?: Seen["generation"] } = {}): Sighting => {
  const { generation, ...rest } = more;
  const seen = { value, ...(generation === undefined ? {} : { generation }) };
  return { plane, invokedMs: atMs, returnedMs: atMs + 5, isMarked: false, wasPutBack: false, values: new Map(value === 0 ? [] : [["shop-one/a", seen]]), ...rest };
};

const ended = (one: number, two = one, pay = 0): readonly Sighting[] => [sight("shop-one", one, 900), sight("shop-two", two, 900), sight("pay-one", pay, 900)];

function kindsOf(history: Partial<History>): readonly string[] {
  return checkHistory({ registers, writes: [], sightings: [], strays: [], final: ended(0), ...history }).map(({ kind }) => kind);
}

describe("the checker of histories passes", () => {
  it("what was written, read, deleted and forgotten everywhere", () => {
    const writes = [write(1, 0), write(2, 100), write(0, 200)];
    const sightings = [sight("shop-one", 0, 0), sight("shop-one", 1, 50), sight("shop-two", 0, 60), sight("shop-two", 1, 120), sight("shop-one", 2, 150), sight("shop-two", 2, 220), sight("shop-two", 0, 300)];
    expect(kindsOf({ writes, sightings })).toEqual([]);
  });

  it("either end of a write whose outcome is unknown, at once or late, and no other", () => {
    const writes = [write(1, 0), write(2, 100, "unknown")];
    expect(kindsOf({ writes, final: ended(1) })).toEqual([]);
    expect(kindsOf({ writes, sightings: [sight("shop-one", 1, 300), sight("shop-one", 2, 500)], final: ended(2) })).toEqual([]);
    expect(kindsOf({ writes, final: ended(0) })).toEqual(["lost"]);
  });

  it("an old form at its origin when the answer says that it may be old", () => {
    const writes = [write(1, 0), write(2, 100)];
    expect(kindsOf({ writes, sightings: [sight("shop-one", 1, 300, { isMarked: true })], final: ended(2) })).toEqual([]);
  });

  it("a receiver that went back along with its store, as long as it catches up", () => {
    const writes = [write(1, 0), write(2, 100)];
    const sightings = [sight("shop-two", 2, 200), sight("shop-two", 1, 300, { wasPutBack: true })];
    expect(kindsOf({ writes, sightings, final: ended(2) })).toEqual([]);
    expect(kindsOf({ writes, sightings, final: ended(2, 1) })).toEqual(["divergent"]);
  });

  it("a read that began before a write was acknowledged, and shows either", () => {
    const writes = [write(1, 0), write(2, 100)];
    for (const value of [1, 2]) expect(kindsOf({ writes, sightings: [sight("shop-one", value, 105)], final: ended(2) })).toEqual([]);
  });
});

describe("the checker of histories finds", () => {
  it("an acknowledged write that is gone in the end", () => {
    expect(kindsOf({ writes: [write(1, 0), write(2, 100)], final: ended(1) })).toEqual(["lost"]);
  });

  it("what a receiver lets go and nobody has deleted, and takes it for no deletion that is undone when it comes back", () => {
    const sightings = [sight("shop-two", 1, 50), sight("shop-two", 0, 100), sight("shop-two", 1, 150)];
    expect(kindsOf({ writes: [write(1, 0)], sightings, final: ended(1) })).toEqual(["vanished"]);
  });

  it("a deletion that is undone in the end, at the origin, and at a receiver for a while", () => {
    const writes = [write(1, 0), write(0, 100)];
    expect(kindsOf({ writes, final: ended(1) })).toEqual(["resurrected"]);
    expect(kindsOf({ writes, sightings: [sight("shop-one", 1, 200)] })).toEqual(["resurrected"]);
    expect(kindsOf({ writes, sightings: [sight("shop-two", 1, 50), sight("shop-two", 0, 200), sight("shop-two", 1, 300)] })).toEqual(["resurrected"]);
  });

  it("a version that nobody wrote, or had been refused", () => {
    expect(kindsOf({ writes: [write(1, 0)], sightings: [sight("shop-two", 3, 50)], final: ended(1) })).toEqual(["fabricated"]);
    expect(kindsOf({ writes: [write(1, 0, "failed")], final: ended(1) })).toEqual(["fabricated"]);
  });

  it("a read at the origin that misses what was acknowledged before it began", () => {
    expect(kindsOf({ writes: [write(1, 0), write(2, 100)], sightings: [sight("shop-one", 1, 200)], final: ended(2) })).toEqual(["stale"]);
  });

  it("a receiver that goes back to an earlier version, or generation", () => {
    const writes = [write(1, 0), write(2, 100)];
    expect(kindsOf({ writes, sightings: [sight("shop-two", 2, 200), sight("shop-two", 1, 300)], final: ended(2) })).toEqual(["backwards"]);
    const [newer, older] = [{ epoch: 2, revision: 1 }, { epoch: 1, revision: 9 }];
    expect(kindsOf({ writes, sightings: [sight("shop-two", 2, 200, { generation: newer }), sight("shop-two", 2, 300, { generation: older })], final: ended(2) })).toEqual(["backwards"]);
  });

  it("planes that end with something else than the origin, or with nothing to compare", () => {
    expect(kindsOf({ writes: [write(1, 0), write(2, 100)], final: ended(2, 1) })).toEqual(["divergent"]);
    expect(kindsOf({ writes: [write(1, 0)], final: [] })).toEqual(["divergent"]);
  });

  it("a plane that shows what is not meant for it", () => {
    expect(kindsOf({ writes: [write(1, 0)], sightings: [sight("pay-one", 1, 50)], final: ended(1) })).toEqual(["leaked"]);
    expect(kindsOf({ writes: [write(1, 0)], final: ended(1, 1, 1) })).toEqual(["leaked"]);
  });
});

it("who does not lead any more may say that it is stale, and not show as present what another has written over", () => {
  const writes = [write(1, 0), write(2, 100)];
  const checked = (stray: Sighting): readonly string[] => kindsOf({ writes, strays: [stray], final: ended(2) });
  expect(checked(sight("shop-one", 1, 300))).toEqual(["stale"]);
  expect(checked(sight("shop-one", 3, 300))).toContain("fabricated");
  for (const allowed of [sight("shop-one", 1, 300, { isMarked: true }), sight("shop-one", 2, 300), sight("shop-one", 1, 105)]) expect(checked(allowed)).toEqual([]);
  // They are in no order with what the plane itself showed.
  expect(kindsOf({ writes, sightings: [sight("shop-one", 2, 200)], strays: [sight("shop-one", 1, 50)], final: ended(2) })).toEqual([]);
});
