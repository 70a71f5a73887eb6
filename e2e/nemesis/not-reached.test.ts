import { expect, it } from "vitest";
import type { Look } from "./ailments.ts";
import type { Outcome, Sighting, Write } from "./history.ts";
import { notReached } from "./not-reached.ts";

const id = "shop-one/a";
const registers = [{ id, origin: "shop-one", audience: ["global", "shop-two"] }];
const write = (value: number, returnedMs: number, outcome: Outcome = "ok"): Write => ({ register: id, value, invokedMs: returnedMs - 1, returnedMs, outcome });
const lookAt = (values: Readonly<Record<string, number | undefined>>): Look =>
  new Map(Object.entries(values).map(([plane, value]): readonly [string, Sighting | Error] => [plane, value === undefined ? new Error("no answer") : { plane, invokedMs: 0, returnedMs: 0, isMarked: false, wasPutBack: false, values: new Map(value === 0 ? [] : [[id, { value }]]) }]));

it("what was acknowledged in time has reached whoever shows it, or something later", () => {
  const writes = [write(1, 10), write(2, 20), write(3, 90)];
  expect(notReached(lookAt({ global: 2, "shop-two": 3 }), { registers, writes }, 50)).toEqual([]);
  // Not recorded before it has been answered.
  expect(notReached(lookAt({ global: 2, "shop-two": 4 }), { registers, writes }, 50)).toEqual([]);
  expect(notReached(lookAt({ global: 1, "shop-two": 0 }), { registers, writes }, 50)).toEqual([
    "global holds version 1 of shop-one/a, of which version 2 was acknowledged",
    "shop-two holds version 0 of shop-one/a, of which version 2 was acknowledged",
  ]);
});

it("a deletion has reached whoever shows nothing, and nothing is missing of what was never acknowledged", () => {
  expect(notReached(lookAt({ global: 0, "shop-two": 0 }), { registers, writes: [write(1, 10), write(0, 20)] }, 50)).toEqual([]);
  expect(notReached(lookAt({ global: 0, "shop-two": 0 }), { registers, writes: [write(1, 10), write(0, 90)] }, 50)).toEqual([]);
  expect(notReached(lookAt({ global: 0, "shop-two": 0 }), { registers, writes: [write(1, 10, "unknown")] }, 50)).toEqual([]);
});

it("a plane that shows nothing at all has not got it", () => {
  expect(notReached(lookAt({ global: undefined, "shop-two": 1 }), { registers, writes: [write(1, 10)] }, 50)).toEqual(["global does not show what it holds"]);
});
