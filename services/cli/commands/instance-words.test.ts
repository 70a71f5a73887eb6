import { expect, it } from "vitest";
import { instanceWords, placeWords } from "./instance-words.ts";

it("tells instances that are ready from those that are not heard, and from those that say that they are not", () => {
  expect(instanceWords({ endpointsReady: 2, endpointsTotal: 3 })).toBe("2/3");
  expect(instanceWords({ endpointsReady: 2, endpointsUnknown: 0, endpointsTotal: 3 })).toBe("2/3");
  expect(instanceWords({ endpointsReady: 0, endpointsUnknown: 1, endpointsTotal: 1 })).toBe("0/1 (1 unknown)");
});

it("tells how old the word of a place is that nobody confirms any more", () => {
  expect(placeWords({ endpointsReady: 1, endpointsTotal: 1, ageMs: 900 })).toBe("1/1");
  expect(placeWords({ endpointsReady: 1, endpointsTotal: 1, ageMs: 12_000 })).toBe("1/1 (as of 12 s ago)");
});
