import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setTimeout as pause } from "node:timers/promises";
import { parentPort } from "node:worker_threads";
import { Catalog } from "#federation/catalog/catalog.ts";
import type { Stored } from "#federation/catalog/collection.ts";
import type { AppliedPosition } from "#federation/catalog/records.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eachValue } from "#federation/runtime/each-value.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store, StoreBatch } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { HistoryGuard } from "./history-guard.ts";

/** What became of the first batch that a follower of a store was told. */
export interface HeldBatches {
  readonly told: number;
  /** Of its events, and of what was read of them, how many are still held while the follower waits for more. */
  readonly heldEvents: number;
  readonly heldItems: number;
  /** It goes on with what is written then. */
  readonly toldLater: number;
}

const lookEveryMs = 20;
/** Looks until nothing is held; a host that is busy collects when it can. */
const looksMax = 500;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const keeper = { isSound: true, trailKey: "trail", writtenAt: 0, trailBegan: undefined, written: () => undefined, regressed: () => undefined, trailLost: () => undefined };
const position = (publisher: string): AppliedPosition => ({ publisher, epoch: 1, term: 1, stream: "s", seq: 1, floorEpoch: 1, floorRevision: 1, appliedAtMs: 1 });

// A thread's program: code that runs for the first time, as where a plane begins, and a heap of its own.
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
parentPort?.postMessage(await follow());

async function follow(): Promise<HeldBatches> {
  const stop = new AbortController();
  await using store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  const events: WeakRef<object>[] = [];
  const items: WeakRef<Stored<AppliedPosition>>[] = [];
  const catalog = new Catalog({ store: new HistoryGuard(seenBy(store, events), keeper), clock: systemClock, onFault: ({ error }) => { throw error; } });
  for (const publisher of ["a", "b"]) await catalog.positions.put(publisher, position(publisher), {}, stop.signal);
  const seenSoFar = { told: 0 };
  const following = eachValue(catalog.positions.changes(stop.signal), ({ puts }) => {
    seenSoFar.told += puts.length;
    for (const item of puts) items.push(new WeakRef(item));
  });
  const isTold = async (count: number): Promise<void> => {
    while (seenSoFar.told < count) await pause(lookEveryMs);
  };
  await isTold(2);
  const held = (refs: readonly WeakRef<object>[]): number => refs.filter((ref) => ref.deref() !== undefined).length;
  let seen = { heldEvents: 2, heldItems: 2 };
  for (let looks = 0; looks < looksMax && seen.heldEvents + seen.heldItems > 0; looks++) {
    await pause(lookEveryMs);
    collect();
    seen = { heldEvents: held(events), heldItems: held(items) };
  }
  const { told } = seenSoFar;
  await catalog.positions.put("c", position("c"), {}, stop.signal);
  await isTold(3);
  stop.abort();
  await following;
  return { told, ...seen, toldLater: seenSoFar.told - told };
}

/** `store`, of which it is noted what its watches tell, and nothing of that held. */
function seenBy(store: Store, events: WeakRef<object>[]): Store {
  const noted = (batches: AsyncIterable<StoreBatch>): AsyncIterable<StoreBatch> => {
    const iterator = batches[Symbol.asyncIterator]();
    const next = async (): Promise<IteratorResult<StoreBatch>> =>
      await iterator.next().then((result) => {
        if (result.done !== true) for (const event of result.value.events) events.push(new WeakRef(event));
        return result;
      });
    return { [Symbol.asyncIterator]: () => ({ next }) };
  };
  return Object.assign(Object.create(store) as Store, {
    watch: (...asked: Parameters<Store["watch"]>) => noted(store.watch(...asked)),
    commit: async (...asked: Parameters<Store["commit"]>) => await store.commit(...asked),
  });
}
