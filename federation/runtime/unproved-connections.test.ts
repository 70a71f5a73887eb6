import { Socket } from "node:net";
import { expect, it } from "vitest";
import { UnprovedConnections, unprovedGraceMs } from "./unproved-connections.ts";
import { VirtualClock } from "./virtual-clock.ts";

it("lets go of the oldest that has proved nothing, and of none before its time", async () => {
  const clock = new VirtualClock();
  const unproved = new UnprovedConnections(clock);
  const [first, second, third] = [new Socket(), new Socket(), new Socket()];
  unproved.add(first);
  unproved.add(second);
  await clock.advance(unprovedGraceMs - 1);
  unproved.add(third);
  expect(unproved.giveWay()).toBeUndefined();
  await clock.advance(1);
  unproved.delete(first);
  expect(unproved.giveWay()).toBe(second);
  expect(unproved.giveWay()).toBeUndefined();
  await clock.advance(unprovedGraceMs);
  expect(unproved.giveWay()).toBe(third);
  expect(unproved.giveWay()).toBeUndefined();
});
