import { expect, it } from "vitest";
import { fuzzDecoders } from "./decoders.fuzz.ts";

it.each([1, 2, 3])("every decoder answers damaged messages with a value or a declared code (seed %i)", (seed) => {
  const { accepted, refused } = fuzzDecoders(seed, 300);
  expect(accepted).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(accepted);
});
