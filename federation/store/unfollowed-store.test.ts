import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ContactedStore } from "./contacted-store.ts";
import { unfollowedMsMin } from "./followed-prefixes.ts";
import type { EngineReply } from "./sqlite-engine.ts";
import { createInlineRunner } from "./sqlite-runner.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { StoreBatch } from "./store.ts";

const refused = { kind: "failed", message: "disk I/O error", cause: "other" } as const;
/** More than a watch keeps for a reader that does not come. */
const writesMany = 1_100;

describe("a store that answers and cannot be listed", () => {
  let clock: VirtualClock;
  let stop: AbortController;
  let refuses: boolean;
  let sqlite: SqliteStore;
  let store: ContactedStore;
  let looking: Promise<void>;

  const put = async (key: string): Promise<void> => void (await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(1) }] }, stop.signal));
  const read = async (watch: AsyncIterator<StoreBatch>): Promise<readonly string[]> => {
    const { value, done } = await watch.next();
    if (done === true) throw new Error("the watch has ended");
    return value.events.map((event) => (event.kind === "put" ? event.entry.key : event.key));
  };

  beforeEach(() => {
    clock = new VirtualClock();
    stop = new AbortController();
    refuses = false;
    const engine = createInlineRunner();
    const runner = { ...engine, run: ((requests, onReplies) => engine.run(requests, (replies) => onReplies(replies.map((reply, index): EngineReply => (refuses && requests[index]?.kind === "list" ? refused : reply))))) satisfies typeof engine.run };
    sqlite = new SqliteStore(runner, { path: ":memory:", clock, logger: silentLogger });
    store = new ContactedStore(sqlite, clock);
    looking = store.look("a/1", { tryWrite: () => Promise.resolve(), isDoubtful: () => false }, stop.signal).catch(() => undefined);
  });
  afterEach(async () => {
    stop.abort();
    await looking;
    await sqlite[Symbol.asyncDispose]();
  });

  it("is told of by what is watched there, once that has lasted, and no more when the listing has come", async () => {
    await put("a/1");
    refuses = true;
    const [first, other] = [store.watch("a/", stop.signal)[Symbol.asyncIterator](), store.watch("b/", stop.signal)[Symbol.asyncIterator]()];
    const [listed, empty] = [read(first), read(other)];
    await clock.advance(unfollowedMsMin - 1);
    expect([store.unfollowed, store.away.current]).toEqual([[], undefined]);
    await clock.advance(60_000);
    const row = { ageMs: unfollowedMsMin - 1 + 60_000, reason: "the store did not do it: disk I/O error" };
    expect([store.unfollowed, store.away.current]).toEqual([[{ prefix: "a/", ...row }, { prefix: "b/", ...row }], undefined]);
    refuses = false;
    await clock.advance(1_000);
    expect([await listed, await empty]).toEqual([["a/1"], []]);
    expect(store.unfollowed).toEqual([]);
    await clock.advance(unfollowedMsMin * 10);
    expect(store.unfollowed).toEqual([]);
  });

  it("is told of where a reader that was too slow has to be brought up by a listing", async () => {
    const watch = store.watch("a/", stop.signal)[Symbol.asyncIterator]();
    expect(await read(watch)).toEqual([]);
    let next = read(watch);
    await put("a/1");
    expect(await next).toEqual(["a/1"]);
    for (let writes = 0; writes < writesMany; writes++) await put(`a/${writes}`);
    refuses = true;
    // What was kept for it comes first.
    const seen = { came: 0, isOver: false };
    const reading = (async () => {
      for (; !seen.isOver; seen.came++) await read(watch);
    })();
    await clock.advance(unfollowedMsMin * 3);
    expect(seen.came).toBeLessThan(writesMany);
    expect(store.unfollowed).toMatchObject([{ prefix: "a/", reason: "the store did not do it: disk I/O error" }]);
    seen.isOver = true;
    refuses = false;
    await clock.advance(1_000);
    await reading;
    next = read(watch);
    await put("a/last");
    expect(await next).toEqual(["a/last"]);
    expect(store.unfollowed).toEqual([]);
  });

  it("is told of by nobody who has left", async () => {
    refuses = true;
    const left = new AbortController();
    const reading = (async () => {
      for await (const _ of store.watch("a/", left.signal));
    })();
    await clock.advance(unfollowedMsMin);
    expect(store.unfollowed).toHaveLength(1);
    left.abort();
    await reading;
    expect(store.unfollowed).toEqual([]);
    await clock.advance(unfollowedMsMin);
    expect(store.unfollowed).toEqual([]);
  });

  it("is not told of while nothing of it answers, which is another state", async () => {
    const watch = store.watch("a/", stop.signal)[Symbol.asyncIterator]();
    await read(watch);
    void watch.next().catch(() => undefined);
    await sqlite[Symbol.asyncDispose]();
    await clock.advance(unfollowedMsMin * 3);
    expect(store.away.current).toBeDefined();
    expect(store.unfollowed).toEqual([]);
  });
});
