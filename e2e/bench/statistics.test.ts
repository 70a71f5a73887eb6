import { expect, test } from "vitest";
import { median, pairedRatios, quantile, roundOrder } from "./statistics.ts";

test("the median of an even number is between the middle two", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([9, 1, 5])).toBe(5);
  expect(median([])).toBeNaN();
});

test("paired ratios cancel what hit both of a pair", () => {
  expect(pairedRatios([10, 20, 40], [5, 10, 20])).toMatchObject({ median: 2, min: 2, max: 2 });
});

test("a round goes forward and back", () => {
  expect(roundOrder(["a", "b", "c"])).toEqual(["a", "b", "c", "c", "b", "a"]);
});

test("a quantile is the value under which so many lie", () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2);
  expect(quantile([4, 1, 3, 2], 0.99)).toBe(4);
  expect(quantile([7], 0)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
});
