import * as fc from "fast-check";
import { expect, test } from "vitest";
import { sessionsMax, sessionsWanted } from "./sessions-wanted.ts";

const near = { instances: 1, wayMs: 1 };

test("one session is enough for hundreds of requests on a short way", () => {
  expect(sessionsWanted(0, near)).toBe(1);
  expect(sessionsWanted(255, near)).toBe(1);
  expect(sessionsWanted(256, near)).toBe(2);
});

test("on a long way few share what one lost packet holds up, and slowness brings no more than four", () => {
  const far = { instances: 1, wayMs: 140 };
  expect([0, 7, 8, 16, 24, 200].map((streams) => sessionsWanted(streams, far))).toEqual([1, 1, 2, 3, 4, 4]);
});

test("behind a gateway there are as many as instances, when there are requests for them", () => {
  const gateway = { instances: 8, wayMs: 140 };
  expect([0, 3, 4, 12, 100].map((streams) => sessionsWanted(streams, gateway))).toEqual([1, 1, 2, 4, 8]);
});

test("never none, and never more than the bound", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(1_000), fc.nat(1_000), (streams, instances, wayMs) => {
      const wanted = sessionsWanted(streams, { instances: instances + 1, wayMs });
      expect(wanted).toBeGreaterThanOrEqual(1);
      expect(wanted).toBeLessThanOrEqual(sessionsMax);
    }),
  );
});
