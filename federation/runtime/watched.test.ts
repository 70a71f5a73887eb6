import { describe, expect, it } from "vitest";
import { WatchedValue } from "./watched.ts";

describe("WatchedValue", () => {
  it("yields the current value first, then the newest after changes, skipping what a slow reader missed", async () => {
    const stop = new AbortController();
    const value = new WatchedValue(1);
    const seen: number[] = [];
    for await (const current of value.changes(stop.signal)) {
      seen.push(current);
      if (current === 1) {
        value.set(2);
        value.set(3);
      }
      if (current === 3) stop.abort();
    }
    expect(seen).toEqual([1, 3]);
  });

  it("does not wake readers for the same reference", async () => {
    const stop = new AbortController();
    const state = { a: 1 };
    const value = new WatchedValue(state);
    const reader = value.changes(stop.signal)[Symbol.asyncIterator]();
    await reader.next();
    value.set(state);
    const next = reader.next();
    stop.abort();
    expect((await next).done).toBe(true);
  });

  it("ends at once for an aborted signal and forgets its readers", async () => {
    const value = new WatchedValue("x");
    const seen: string[] = [];
    for await (const current of value.changes(AbortSignal.abort())) seen.push(current);
    expect(seen).toEqual([]);
  });
});
