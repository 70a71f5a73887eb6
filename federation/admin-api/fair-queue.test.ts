import { describe, expect, it } from "vitest";
import { FairQueue } from "./fair-queue.ts";

function filled(...pairs: readonly (readonly [owner: string, item: number])[]): FairQueue<number> {
  const queue = new FairQueue<number>();
  for (const [owner, item] of pairs) queue.push(owner, item);
  return queue;
}

function drained(queue: FairQueue<number>): readonly number[] {
  const taken: number[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) taken.push(item);
  return taken;
}

describe("FairQueue", () => {
  it("gives each owner a turn, and to each in the order in which they came", () => {
    expect(drained(filled(["ci", 1], ["ci", 2], ["ci", 3], ["on-call", 4], ["other", 5], ["on-call", 6]))).toEqual([1, 4, 5, 2, 6, 3]);
  });

  it("takes the newest of the longest line where there is no room", () => {
    const queue = filled(["ci", 1], ["on-call", 2], ["ci", 3]);
    expect(queue.takeExcess()).toBe(3);
    expect(drained(queue)).toEqual([1, 2]);
    expect([queue.size, queue.takeExcess()]).toEqual([0, undefined]);
  });

  it("forgets who has left, and nobody else", () => {
    const queue = filled(["ci", 1], ["ci", 2], ["on-call", 3]);
    queue.remove("ci", 1);
    queue.remove("on-call", 3);
    queue.remove("on-call", 3);
    queue.remove("nobody", 2);
    expect(queue.size).toBe(1);
    expect(drained(queue)).toEqual([2]);
  });
});
