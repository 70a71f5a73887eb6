import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { eachValue, mappedValues, valuesUntilEnd } from "./each-value.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

interface Source {
  readonly values: AsyncIterable<{ readonly of: number }>;
  /** Of each value that was given. */
  readonly given: WeakRef<object>[];
  readonly end: () => void;
  readonly isReturned: () => boolean;
}

/** Gives `count` values and then waits, holding nothing itself. */
function sourceOf(count: number): Source {
  const given: WeakRef<object>[] = [];
  const { promise, resolve } = Promise.withResolvers<IteratorResult<{ readonly of: number }, void>>();
  let isReturned = false;
  const next = (): Promise<IteratorResult<{ readonly of: number }, void>> => {
    if (given.length === count) return promise;
    const value = { of: given.length };
    given.push(new WeakRef(value));
    return Promise.resolve({ done: false, value });
  };
  const iterator = { next, return: () => { isReturned = true; return Promise.resolve({ done: true as const, value: undefined }); } };
  return { values: { [Symbol.asyncIterator]: () => iterator }, given, end: () => resolve({ done: true, value: undefined }), isReturned: () => isReturned };
}

async function isFreed(source: Source): Promise<boolean> {
  for (let turn = 0; turn < 20; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    collect();
    if (source.given.every((ref) => ref.deref() === undefined)) return true;
  }
  return false;
}

describe("values one after the other", () => {
  it("are let go of before the next one is there", async () => {
    const source = sourceOf(2);
    const seen: number[] = [];
    const done = eachValue(source.values, (value) => void seen.push(value.of));
    expect(await isFreed(source)).toBe(true);
    source.end();
    await done;
    expect([seen, source.isReturned()]).toEqual([[0, 1], false]);
  });

  it("are let go of when something is made of them, as is that", async () => {
    const source = sourceOf(2);
    const made: WeakRef<object>[] = [];
    const done = eachValue(
      mappedValues(source.values, (value) => {
        const result = { value };
        made.push(new WeakRef(result));
        return result;
      }),
      () => undefined,
    );
    expect(await isFreed(source)).toBe(true);
    expect(made.map((ref) => ref.deref())).toEqual([undefined, undefined]);
    source.end();
    await done;
  });

  it("are let go of where somebody hears of their end, who does so whichever way it comes", async () => {
    let ends = 0;
    const until = (source: Source) => valuesUntilEnd(source.values, () => ends++);
    const source = sourceOf(2);
    const done = eachValue(until(source), () => undefined);
    expect([await isFreed(source), ends]).toEqual([true, 0]);
    source.end();
    await done;
    expect(ends).toBe(1);
    await expect(eachValue(until(sourceOf(1)), () => { throw new Error("no"); })).rejects.toThrow("no");
    expect(ends).toBe(2);
    for await (const { of } of until(sourceOf(2))) if (of === 0) break;
    expect(ends).toBe(3);
  });

  it("end where they came from when whoever takes them fails, or leaves", async () => {
    const failing = sourceOf(1);
    await expect(eachValue(failing.values, () => { throw new Error("no"); })).rejects.toThrow("no");
    expect(failing.isReturned()).toBe(true);
    const left = sourceOf(2);
    for await (const value of mappedValues(left.values, ({ of }) => of)) if (value === 0) break;
    expect(left.isReturned()).toBe(true);
    const whole = sourceOf(1);
    whole.end();
    const seen: number[] = [];
    for await (const value of mappedValues(whole.values, ({ of }) => of + 1)) seen.push(value);
    expect([seen, whole.isReturned()]).toEqual([[1], false]);
  });
});
