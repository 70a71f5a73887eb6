import { expect, it } from "vitest";
import { readAhead } from "./read-ahead.ts";

it("asks for one value more than is worked on, and for no other", async () => {
  let asked = 0;
  async function* values(): AsyncGenerator<number> {
    for (let at = 0; at < 4; at++) {
      asked++;
      yield at;
    }
  }
  const read: (readonly [number, number])[] = [];
  for await (const value of readAhead(values())) read.push([value, asked]);
  expect(read).toEqual([[0, 2], [1, 3], [2, 4], [3, 4]]);
});

it("fails when the turn of what failed comes, and not before", async () => {
  async function* values(): AsyncGenerator<number> {
    yield 1;
    throw new Error("broken");
  }
  const read: number[] = [];
  const reading = (async () => {
    for await (const value of readAhead(values())) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      read.push(value);
    }
  })();
  await expect(reading).rejects.toThrow("broken");
  expect(read).toEqual([1]);
});

it("ends what it reads when nobody wants more of it, what it had asked for included", async () => {
  let hasEnded = false;
  async function* values(): AsyncGenerator<number> {
    try {
      yield 1;
      throw new Error("nobody is to hear of this");
    } finally {
      hasEnded = true;
    }
  }
  for await (const _ of readAhead(values())) break;
  expect(hasEnded).toBe(true);
});
