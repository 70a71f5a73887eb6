import { expect, it } from "vitest";
import { inTurns, itemsPerTurn } from "./turns.ts";

it("does all of it in order, and lets others have their turn in between", async () => {
  const items = Array.from({ length: 3 * itemsPerTurn }, (_, index) => index);
  const done: number[] = [];
  const seen: number[] = [];
  const look = (): void => {
    seen.push(done.length);
    if (done.length < items.length) setImmediate(look);
  };
  setImmediate(look);
  await inTurns(items, (item) => void done.push(item));
  expect(done).toEqual(items);
  expect(seen).toEqual(expect.arrayContaining([itemsPerTurn, 2 * itemsPerTurn]));
});

it("takes no turn for what is done in one", async () => {
  let hasTurned = false;
  setImmediate(() => (hasTurned = true));
  await inTurns(Array.from({ length: itemsPerTurn }), () => undefined);
  expect(hasTurned).toBe(false);
});
