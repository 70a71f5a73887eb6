import { describe, expect, it } from "vitest";
import { AsyncQueue } from "./async-queue.ts";

describe("AsyncQueue", () => {
  it("hands over in order and ends after what is queued", async () => {
    const queue = new AsyncQueue<number>({ capacity: 10 });
    for (const item of [1, 2, 3]) queue.push(item);
    queue.end();
    expect(await Array.fromAsync(queue.drain(new AbortController().signal))).toEqual([1, 2, 3]);
  });

  it("drops the newest beyond its capacity and says so", () => {
    const dropped: number[] = [];
    const queue = new AsyncQueue<number>({ capacity: 2, onDrop: (item) => dropped.push(item) });
    expect([1, 2, 3].map((item) => queue.push(item))).toEqual([true, true, false]);
    expect(dropped).toEqual([3]);
  });

  it("knows how many still wait, also of those that came together", async () => {
    const queue = new AsyncQueue<number>({ capacity: 10 });
    for (const item of [1, 2, 3]) queue.push(item);
    const waiting: number[] = [];
    for await (const item of queue.drain(new AbortController().signal)) {
      if (item === 2) queue.push(4);
      waiting.push(queue.size);
      if (item === 4) break;
    }
    expect(waiting).toEqual([2, 2, 1, 0]);
  });

  it("throws a failure after what is queued", async () => {
    const queue = new AsyncQueue<number>({ capacity: 2 });
    queue.push(1);
    queue.fail(new Error("link lost"));
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of queue.drain(new AbortController().signal)) seen.push(item);
      })(),
    ).rejects.toThrow("link lost");
    expect(seen).toEqual([1]);
  });

  it("wakes a waiting reader when the signal aborts", async () => {
    const stop = new AbortController();
    const queue = new AsyncQueue<number>({ capacity: 2 });
    const reading = Array.fromAsync(queue.drain(stop.signal));
    stop.abort();
    expect(await reading).toEqual([]);
  });
});
