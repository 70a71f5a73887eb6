import { expect, it } from "vitest";
import type { Generation } from "#federation/model/snapshot.ts";
import { goneVersionsMax, heldSince, nextHeldVersions, nothingHeld } from "./held-versions.ts";

const at = (epoch: number, revision: number): Generation => ({ epoch, revision });
const policies = (entries: Readonly<Record<string, Generation>>): ReadonlyMap<string, Generation> => new Map(Object.entries(entries));

it("knows the first version that held the present form, however many came since", () => {
  let held = nextHeldVersions(nothingHeld, policies({ a: at(1, 5) }), 1);
  held = nextHeldVersions(held, policies({ a: at(1, 5), b: at(1, 6) }), 2);
  held = nextHeldVersions(held, policies({ a: at(1, 7), b: at(1, 6) }), 3);
  held = nextHeldVersions(held, policies({ a: at(1, 7), b: at(1, 6) }), 4);
  expect(heldSince(held, "b", at(1, 6))).toBe(2);
  expect(heldSince(held, "a", at(1, 7))).toBe(3);
  // An earlier form is held since a later one is.
  expect(heldSince(held, "a", at(1, 5))).toBe(3);
});

it("knows no version of what has not come, of another life of the store, or of what is still there", () => {
  const held = nextHeldVersions(nothingHeld, policies({ a: at(2, 5) }), 1);
  expect(heldSince(held, "a", at(2, 6))).toBeUndefined();
  expect(heldSince(held, "a", at(3, 1))).toBeUndefined();
  expect(heldSince(held, "a", at(1, 99))).toBe(1);
  expect(heldSince(held, "b", at(1, 1))).toBeUndefined();
  expect(heldSince(held, "a", undefined)).toBeUndefined();
});

it("knows since when a resource is gone, and of one that is forgotten not too early a version", () => {
  expect(heldSince(nothingHeld, "never", undefined)).toBe(0);
  const many = Array.from({ length: goneVersionsMax + 1 }, (_, index) => `k${index}`);
  let held = nextHeldVersions(nothingHeld, policies({ a: at(1, 1), ...Object.fromEntries(many.map((key) => [key, at(1, 1)])) }), 1);
  held = nextHeldVersions(held, policies({ a: at(1, 1) }), 2);
  held = nextHeldVersions(held, new Map(), 3);
  expect(heldSince(held, "a", undefined)).toBe(3);
  expect(held.gone.size).toBe(goneVersionsMax);
  expect(many.map((key) => heldSince(held, key, undefined))).toEqual(many.map(() => 2));
  held = nextHeldVersions(held, policies({ a: at(1, 9) }), 4);
  expect(heldSince(held, "a", undefined)).toBeUndefined();
});
