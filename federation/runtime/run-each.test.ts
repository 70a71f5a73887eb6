import { expect, it } from "vitest";
import { runEach } from "./run-each.ts";
import { untilAborted } from "./lifecycle.ts";
import { turn } from "./turns.ts";
import { WatchedValue } from "./watched.ts";

function bench(run?: (key: string) => Promise<void>) {
  const members = new WatchedValue<ReadonlyMap<string, string>>(new Map());
  const stop = new AbortController();
  const words: string[] = [];
  const done = runEach(
    members,
    {
      lifeOf: (value) => value,
      run: async (key, value, signal) => {
        words.push(`${key} ${value} begins`);
        await run?.(key);
        await untilAborted(signal);
        words.push(`${key} ${value} ends`);
      },
      ended: async (key, next) => void words.push(`${key} is ${next ?? "gone"}`),
    },
    stop.signal,
  );
  const told = async (entries: Readonly<Record<string, string>>): Promise<readonly string[]> => {
    words.length = 0;
    members.set(new Map(Object.entries(entries)));
    for (let turns = 0; turns < 5; turns++) await turn();
    return [...words];
  };
  return { stop, done, told, words };
}

it("runs each member from when it comes until it goes or is another, the next after the end of the one before", async () => {
  const { stop, done, told, words } = bench();
  expect(await told({ a: "1", b: "1" })).toEqual(["a 1 begins", "b 1 begins"]);
  expect(await told({ a: "1", b: "1" })).toEqual([]);
  expect(await told({ a: "2" })).toEqual(["a 1 ends", "a is 2", "b 1 ends", "b is gone", "a 2 begins"]);
  words.length = 0;
  stop.abort();
  await done;
  expect(words).toEqual(["a 2 ends"]);
});

it("ends all when one fails, and throws that", async () => {
  const { done, told, words } = bench(async (key) => {
    if (key === "b") throw new Error("no");
  });
  const failed = expect(done).rejects.toThrow("no");
  await told({ a: "1", b: "1" });
  await failed;
  expect(words).toEqual(["a 1 begins", "b 1 begins", "a 1 ends"]);
});
