import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import type { Stored } from "#federation/catalog/collection.ts";
import type { AppliedPosition } from "#federation/catalog/records.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eachValue } from "#federation/runtime/each-value.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store, StoreBatch } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { HistoryGuard } from "./history-guard.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const keeper = { isSound: true, trailKey: "trail", writtenAt: 0, written: () => undefined, regressed: () => undefined, trailLost: () => undefined };
const position = (publisher: string): AppliedPosition => ({ publisher, epoch: 1, term: 1, stream: "s", seq: 1, floorEpoch: 1, floorRevision: 1, appliedAtMs: 1 });

it("is not held by those who follow a store, what they were told first, while they wait for more", async () => {
  const stop = new AbortController();
  await using store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  const told: WeakRef<object>[] = [];
  const seen: Store = Object.assign(Object.create(store) as Store, {
    watch: (...asked: Parameters<Store["watch"]>) => seenBy(store.watch(...asked)),
    commit: async (...asked: Parameters<Store["commit"]>) => await store.commit(...asked),
  });
  /** Notes what passes, and holds nothing of it. */
  const seenBy = (batches: AsyncIterable<StoreBatch>): AsyncIterable<StoreBatch> => {
    const iterator = batches[Symbol.asyncIterator]();
    const next = async (): Promise<IteratorResult<StoreBatch>> =>
      await iterator.next().then((result) => {
        if (result.done !== true) for (const event of result.value.events) told.push(new WeakRef(event));
        return result;
      });
    return { [Symbol.asyncIterator]: () => ({ next }) };
  };
  const catalog = new Catalog({ store: new HistoryGuard(seen, keeper), clock: systemClock, onFault: ({ error }) => { throw error; } });
  for (const publisher of ["a", "b"]) await catalog.positions.put(publisher, position(publisher), {}, stop.signal);
  let count = 0;
  const read: WeakRef<Stored<AppliedPosition>>[] = [];
  const following = eachValue(catalog.positions.changes(stop.signal), ({ puts }) => {
    count += puts.length;
    for (const item of puts) read.push(new WeakRef(item));
  });
  await expect.poll(() => count).toBe(2);
  await expect
    .poll(() => {
      collect();
      return [...told, ...read].filter((ref) => ref.deref() !== undefined).length;
    })
    .toBe(0);
  await catalog.positions.put("c", position("c"), {}, stop.signal);
  await expect.poll(() => count).toBe(3);
  stop.abort();
  await following;
});
