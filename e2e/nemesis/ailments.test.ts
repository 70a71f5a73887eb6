import { expect, it } from "vitest";
import { AilmentLog, ailmentsOf, findingsIn, unnamed, type Look } from "./ailments.ts";
import type { Sighting } from "./history.ts";

const registers = [{ id: "shop-one/a", origin: "shop-one", audience: ["global", "shop-two"] }];
const sighting = (plane: string, value: number): Sighting => ({ plane, invokedMs: 0, returnedMs: 0, isMarked: false, wasPutBack: false, values: new Map(value === 0 ? [] : [["shop-one/a", { value }]]) });
const lookAt = (values: Readonly<Record<string, number | undefined>>): Look => new Map(Object.entries(values).map(([plane, value]) => [plane, value === undefined ? new Error("no answer") : sighting(plane, value)]));

it("planes that show the same have no ailment, and nobody else is asked what they show", () => {
  expect(ailmentsOf(lookAt({ "shop-one": 2, global: 2, "shop-two": 2, "pay-one": 0 }), registers)).toEqual([]);
});

it("a plane that shows another version, or nothing at all, ails", () => {
  expect(ailmentsOf(lookAt({ "shop-one": 2, global: 1, "shop-two": undefined }), registers)).toEqual([
    { what: "shop-two does not show what it holds", planes: ["shop-two"], detail: "no answer" },
    { what: "global holds version 1 of shop-one/a, and shop-one offers 2", planes: ["global", "shop-one"] },
  ]);
});

it("an ailment lasts from when it was first seen to the first look without it", () => {
  const log = new AilmentLog();
  const ailment = { what: "a sentence", planes: ["global"] };
  log.observe([ailment], 1_000);
  log.observe([ailment], 9_000);
  expect(log.since(999)).toEqual([]);
  expect(log.since(1_000)).toEqual([ailment]);
  log.observe([], 9_500);
  log.observe([ailment], 10_000);
  expect(log.since(9_999)).toEqual([]);
});

it("findings are lines of `atoll check`, but for the exports without instances that every run has", () => {
  const stdout = "wrong  web/s-1 has no ready instance in shop-one\nwrong  the store of shop-two has not answered for 3 s\n";
  expect(findingsIn({ stdout, stderr: "error ATOLL_ADMIN_UNAVAILABLE: nobody answers\n" })).toEqual(["wrong  the store of shop-two has not answered for 3 s", "error ATOLL_ADMIN_UNAVAILABLE: nobody answers"]);
});

it("an ailment is named by a finding about one of its planes, and not by one about a process of a like name", () => {
  const ailment = { what: "a sentence", planes: ["global", "shop-one"] };
  expect(unnamed([ailment], ["wrong  the store of shop-one has not answered for 3 s"])).toEqual([]);
  expect(unnamed([ailment], ["wrong  shop-one-gateway is behind", "wrong  shop-two is not heard"])).toEqual([ailment]);
});
