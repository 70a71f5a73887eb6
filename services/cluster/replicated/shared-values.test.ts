import { expect, it } from "vitest";
import { SharedValues, sharedValuesMax } from "./shared-values.ts";

it("gives one list for all that are equal, and another for any that is not", () => {
  const values = new SharedValues();
  const first = [{ name: "http", port: 80 }];
  expect(values.of(first)).toBe(first);
  expect(values.of([{ name: "http", port: 80 }])).toBe(first);
  expect(values.of([{ name: "http", port: 81 }])).toEqual([{ name: "http", port: 81 }]);
});

it("keeps a text apart from a list that holds it, and from one that reads like it", () => {
  const values = new SharedValues();
  for (const value of ["shop", ["shop"], '["shop"]', ""]) expect(values.of(value)).toEqual(value);
});

it("remembers a bounded number of them", () => {
  const values = new SharedValues();
  const first = [0];
  for (let value = 0; value < sharedValuesMax; value++) values.of(value === 0 ? first : [value]);
  expect(values.of([0])).toBe(first);
  values.of([sharedValuesMax]);
  expect(values.of([0])).not.toBe(first);
});
