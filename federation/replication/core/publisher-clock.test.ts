import { expect, it } from "vitest";
import { PublisherClock } from "./publisher-clock.ts";

function heard(offsets: readonly (readonly [aheadMs: number, wayMs: number])[]): number | undefined {
  const clock = new PublisherClock();
  let nowMs = 1_000_000;
  for (const [aheadMs, wayMs] of offsets) clock.hear({ stream: "a", sentAtMs: (nowMs += 1_000) + aheadMs - wayMs }, nowMs);
  return clock.aheadMs;
}

it("knows a clock by the heartbeat that came fastest, whichever way it is wrong", () => {
  expect(heard([[0, 40], [0, 4_000], [0, 90_000]])).toBe(-40);
  expect(heard([[600_000, 25], [600_000, 10], [600_000, 80_000]])).toBe(599_990);
  expect(heard([[-600_000, 25], [-600_000, 10], [-600_000, 80_000]])).toBe(-600_010);
});

it("says nothing of the first words, which may all have waited", () => {
  expect(heard([])).toBeUndefined();
  expect(heard([[0, 60_000], [0, 59_000]])).toBeUndefined();
});

it("follows a clock that is put right", () => {
  expect(heard([...Array.from({ length: 20 }, () => [-90_000, 5] as const), [0, 5]])).toBe(-5);
  const ahead = Array.from({ length: 20 }, () => [90_000, 5] as const);
  expect(heard([...ahead, [0, 5]])).toBe(89_995);
  expect(heard([...ahead, ...Array.from({ length: 8 }, () => [0, 5] as const)])).toBe(-5);
});

it("forgets the clock of the term before", () => {
  const clock = new PublisherClock();
  for (let at = 0; at < 4; at++) clock.hear({ stream: "a", sentAtMs: 700_000 + at }, 100_000 + at);
  for (let at = 4; at < 7; at++) clock.hear({ stream: "b", sentAtMs: 100_000 + at }, 100_000 + at);
  expect(clock.aheadMs).toBe(0);
});
