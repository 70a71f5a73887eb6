import { expect, it } from "vitest";
import { SharedLists, sharedListsMax } from "./shared-lists.ts";

it("gives one list for all that are equal, and another for any that is not", () => {
  const lists = new SharedLists();
  const first = [{ name: "http", port: 80 }];
  expect(lists.of(first)).toBe(first);
  expect(lists.of([{ name: "http", port: 80 }])).toBe(first);
  expect(lists.of([{ name: "http", port: 81 }])).toEqual([{ name: "http", port: 81 }]);
});

it("remembers a bounded number of them", () => {
  const lists = new SharedLists();
  const first = [0];
  for (let value = 0; value < sharedListsMax; value++) lists.of(value === 0 ? first : [value]);
  expect(lists.of([0])).toBe(first);
  lists.of([sharedListsMax]);
  expect(lists.of([0])).not.toBe(first);
});
