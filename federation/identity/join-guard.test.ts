import { expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { JoinGuard, joinGuardLimits } from "./join-guard.ts";

const { attemptsBurst, attemptsPerSecond, refusalsBurst, addressesMax } = joinGuardLimits;
const overloaded = expect.objectContaining({ code: "ATOLL_JOIN_OVERLOADED" });

function attempts(guard: JoinGuard, address: string, count: number): number {
  let taken = 0;
  for (let turn = 0; turn < count; turn++) {
    try {
      guard.enter(address);
      taken++;
    } catch (error) {
      expect(error).toEqual(overloaded);
    }
  }
  return taken;
}

it("makes the address that is refused wait, and no other", async () => {
  const clock = new VirtualClock();
  const guard = new JoinGuard(clock);
  for (let turn = 0; turn < refusalsBurst; turn++) guard.refused("10.0.0.1");
  expect(attempts(guard, "10.0.0.1", 1)).toBe(0);
  expect(attempts(guard, "10.0.0.2", 1)).toBe(1);
  await clock.advance(1_000);
  expect(attempts(guard, "10.0.0.1", 1)).toBe(1);
});

it("does not count those who are let in against their address", () => {
  const guard = new JoinGuard(new VirtualClock());
  expect(attempts(guard, "10.0.0.1", refusalsBurst * 5)).toBe(refusalsBurst * 5);
});

it("bounds all attempts together", async () => {
  const clock = new VirtualClock();
  const guard = new JoinGuard(clock);
  expect(attempts(guard, "10.0.0.1", attemptsBurst + 50)).toBe(attemptsBurst);
  await clock.advance(1_000);
  expect(attempts(guard, "10.0.0.1", attemptsBurst)).toBe(attemptsPerSecond);
});

it("forgets the address that was quiet for longest beyond its bound", () => {
  const guard = new JoinGuard(new VirtualClock());
  for (let turn = 0; turn < refusalsBurst; turn++) guard.refused("first");
  for (let index = 0; index < addressesMax; index++) guard.refused(`other-${index}`);
  expect(attempts(guard, "first", 1)).toBe(1);
});
