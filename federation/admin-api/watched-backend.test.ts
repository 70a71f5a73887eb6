import { expect, it } from "vitest";
import { apiVersion, type Region } from "#federation/model/resource.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { createWatchedBackend } from "./watched-backend.ts";

const region = (name: string, revision: number): Region => ({ apiVersion, kind: "Region", metadata: { name, revision }, spec: {} });

it("everything comes first, then only what changed or went", async () => {
  const a = region("a", 1);
  const b = region("b", 2);
  const watched = new WatchedValue<ReadonlyMap<string, Region>>(new Map([["a", a], ["b", b]]));
  const stop = new AbortController();
  const seen: unknown[] = [];
  for await (const batch of createWatchedBackend<"Region">(watched).changes(stop.signal)) {
    seen.push([batch.initial, batch.puts.map((put) => `${put.id} ${put.value.metadata.revision}`), batch.deletes, batch.revision]);
    if (seen.length === 1) watched.set(new Map([["b", region("b", 3)], ["c", region("c", 4)]]));
    else stop.abort();
  }
  expect(seen).toEqual([
    [true, ["a 1", "b 2"], [], 2],
    [false, ["b 3", "c 4"], ["a"], 4],
  ]);
});

it("one and all can be read", async () => {
  const backend = createWatchedBackend<"Region">(new WatchedValue<ReadonlyMap<string, Region>>(new Map([["a", region("a", 5)]])));
  const { signal } = new AbortController();
  expect(await backend.get("a", signal)).toEqual({ value: region("a", 5), revision: 5 });
  expect(await backend.get("b", signal)).toBeUndefined();
  expect(await backend.list(signal)).toEqual({ items: [{ id: "a", value: region("a", 5) }], revision: 5 });
});
