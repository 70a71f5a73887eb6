import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ContactedStore } from "./contacted-store.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

const key = "asked";
const put = { conditions: [], writes: [{ kind: "put", key: "k", value: new Uint8Array(1) }] } as const;

describe("a store of which it is known whether it answers", () => {
  let clock: VirtualClock;
  let stop: AbortController;
  let inner: Store;
  let store: ContactedStore;
  let looking: Promise<void>;
  let isThere: boolean;
  let isWritable: boolean;
  let commits: number;

  beforeEach(async () => {
    clock = new VirtualClock();
    stop = new AbortController();
    inner = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
    isThere = true;
    isWritable = true;
    commits = 0;
    const reach = <T>(ask: () => Promise<T>): Promise<T> => (isThere ? ask() : Promise.reject(new AtollError("ATOLL_STORE_UNAVAILABLE", "nobody is there")));
    const reached: Store = {
      get: (...args) => reach(() => inner.get(...args)),
      list: (...args) => reach(() => inner.list(...args)),
      commit: (...args) => reach(() => (commits++, isWritable ? inner.commit(...args) : Promise.reject(new AtollError("ATOLL_STORE_UNWRITABLE", "the disk is full")))),
      watch: (...args) => inner.watch(...args),
      grantLease: (...args) => reach(() => inner.grantLease(...args)),
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    };
    store = new ContactedStore(reached, clock);
    looking = store.look(key, { tryWrite: async (inner) => void (await store.commit(put, inner)), isDoubtful: () => false }, stop.signal).catch(() => undefined);
  });
  afterEach(async () => {
    stop.abort();
    await looking;
    await inner[Symbol.asyncDispose]();
  });

  it("notices an absence although nobody asks, says since when, and refuses writes by itself", async () => {
    await clock.advance(10_000);
    expect(store.away.current).toBeUndefined();
    const sinceMs = clock.nowMs();
    isThere = false;
    await clock.advance(2_000);
    expect(store.away.current).toEqual({ sinceMs });
    await expect(store.commit(put, stop.signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE", message: expect.stringContaining(`has not answered since ${new Date(sinceMs).toISOString()}`) });
    await clock.advance(60_000);
    expect([store.away.current, commits]).toEqual([{ sinceMs }, 0]);
  });

  it("notices its return within a quarter of a second, and takes writes again", async () => {
    isThere = false;
    await clock.advance(30_000);
    expect(store.away.current).toBeDefined();
    isThere = true;
    await clock.advance(250);
    expect(store.away.current).toBeUndefined();
    expect((await store.commit(put, stop.signal)).kind).toBe("committed");
  });

  it("does not take a refusal between answers for an absence", async () => {
    await store.get(key, stop.signal);
    isThere = false;
    await expect(store.get(key, stop.signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    isThere = true;
    expect(store.away.current).toBeUndefined();
    await store.commit(put, stop.signal);
  });

  it("tells one that takes no writes from one that is away, since when and why, and by itself when it takes them again", async () => {
    await clock.advance(10_000);
    const sinceMs = clock.nowMs();
    isWritable = false;
    await expect(store.commit(put, stop.signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNWRITABLE" });
    await clock.advance(60_000);
    expect([store.away.current, store.unwritable.current]).toEqual([undefined, { sinceMs, reason: "the disk is full" }]);
    expect(await store.get(key, stop.signal)).toBeUndefined();
    isWritable = true;
    await clock.advance(1_000);
    expect(store.unwritable.current).toBeUndefined();
    // What is away is not told of as full.
    isWritable = false;
    await expect(store.commit(put, stop.signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNWRITABLE" });
    isThere = false;
    await clock.advance(2_000);
    expect([store.away.current === undefined, store.unwritable.current]).toEqual([false, undefined]);
  });
});
