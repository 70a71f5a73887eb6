import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { runAsLeader, type LeaderTask, type LeaderTerm } from "./leader.ts";
import { openSqliteStore, type SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

const key = "leader/publisher";

describe("runAsLeader", () => {
  let clock: VirtualClock;
  let store: SqliteStore;
  let stop: AbortController;

  beforeEach(async () => {
    clock = new VirtualClock();
    stop = new AbortController();
    store = await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
  });
  afterEach(async () => {
    stop.abort();
    await store[Symbol.asyncDispose]();
  });

  const campaign = (id: string, task: LeaderTask, signal: AbortSignal = stop.signal): Promise<void> =>
    runAsLeader(store, { key, id, clock, random: createSeededRandom(id.length), logger: silentLogger }, task, signal);
  const holder = async (): Promise<string | undefined> => {
    const entry = await store.get(key, stop.signal);
    return entry === undefined ? undefined : new TextDecoder().decode(entry.value).split(" ")[0];
  };
  /** As a process that was killed leaves its key: its lease lives on without it. */
  const crash = async (id: string): Promise<void> => {
    const lease = await store.grantLease(5_000, stop.signal);
    await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new TextEncoder().encode(`${id} an-earlier-life`), lease }] }, stop.signal);
  };
  const untilAborted = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });

  it("lets one candidate lead at a time, and the next one when it stops", async () => {
    const leading = new Set<string>();
    let most = 0;
    const terms: string[] = [];
    const stops = new Map<string, AbortController>();
    const runs = ["a", "bb", "ccc"].map((id) => {
      const own = new AbortController();
      stops.set(id, own);
      return campaign(
        id,
        async (_term, signal) => {
          leading.add(id);
          terms.push(id);
          most = Math.max(most, leading.size);
          await untilAborted(signal);
          leading.delete(id);
        },
        AbortSignal.any([own.signal, stop.signal]),
      );
    });
    for (let step = 0; step < 3; step++) {
      await clock.advance(20_000);
      const [leader] = leading;
      expect(leader).toBe(await holder());
      stops.get(leader ?? "")?.abort();
    }
    await clock.advance(20_000);
    await Promise.all(runs);
    expect(most).toBe(1);
    expect(terms.toSorted()).toEqual(["a", "bb", "ccc"]);
    expect(await holder()).toBeUndefined();
  });

  it("stays leader for much longer than the lease", async () => {
    let terms = 0;
    const run = campaign("a", (_term, signal) => {
      terms++;
      return untilAborted(signal);
    });
    await clock.advance(10 * 60_000);
    expect(terms).toBe(1);
    stop.abort();
    await run;
  });

  it("goes on in the same term when its lease was uncertain for a while, and says so meanwhile", async () => {
    const certain = new WatchedValue(true);
    const uncertain: Store = {
      get: (...args) => store.get(...args),
      list: (...args) => store.list(...args),
      commit: ({ conditions, writes }, inner) => store.commit({ conditions, writes: writes.map((write) => (write.kind === "put" ? { kind: "put", key: write.key, value: write.value } : write)) }, inner),
      watch: (...args) => store.watch(...args),
      grantLease: () => Promise.resolve({ id: "l", lost: new AbortController().signal, certain, [Symbol.asyncDispose]: () => Promise.resolve() }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const terms: LeaderTerm[] = [];
    const run = runAsLeader(uncertain, { key, id: "a", clock, random: createSeededRandom(1), logger: silentLogger }, async (term, signal) => {
      terms.push(term);
      await untilAborted(signal);
    }, stop.signal);
    await clock.advance(1_000);
    certain.set(false);
    await clock.advance(60_000);
    expect(terms.map((term) => term.certain.current)).toEqual([false]);
    certain.set(true);
    await clock.advance(1_000);
    expect(terms.map((term) => term.certain.current)).toEqual([true]);
    stop.abort();
    await run;
  });

  it("ends the term when the key is taken away, and fences its late writes", async () => {
    const terms: LeaderTerm[] = [];
    const run = campaign("a", async (term, signal) => {
      terms.push(term);
      await untilAborted(signal);
    });
    await clock.advance(1_000);
    await store.commit({ conditions: [], writes: [{ kind: "delete", key }] }, stop.signal);
    await clock.advance(5_000);
    expect(terms).toHaveLength(2);
    const [first, second] = terms;
    expect(second?.number).toBeGreaterThan(first?.number ?? Infinity);
    const write = (term: LeaderTerm | undefined): Promise<{ readonly kind: string }> =>
      store.commit({ conditions: term === undefined ? [] : [term.fence], writes: [{ kind: "put", key: "work", value: new Uint8Array(1) }] }, stop.signal);
    expect((await write(first)).kind).toBe("conflict");
    expect((await write(second)).kind).toBe("committed");
    stop.abort();
    await run;
  });

  it("waits neither for an earlier process of its own that crashed, nor for a term of its own, but for anybody else", async () => {
    await crash("a");
    let terms = 0;
    const run = campaign("a", (_term, signal) => {
      terms++;
      return untilAborted(signal);
    });
    const other = campaign("bb", () => Promise.reject(new Error("led beside the leader")));
    await clock.advance(0);
    expect([terms, await holder()]).toEqual([1, "a"]);
    await clock.advance(60_000);
    expect(terms).toBe(1);
    stop.abort();
    await Promise.all([run, other]);
  });

  it.each([
    ["that was free", false],
    ["whose earlier holder it has to remove", true],
  ])("tells at which position it has found the store, with a place %s", async (_title, isHeld) => {
    for (const value of ["x", "y"]) await store.commit({ conditions: [], writes: [{ kind: "put", key: "other", value: new TextEncoder().encode(value) }] }, stop.signal);
    if (isHeld) await crash("a");
    const { revision } = await store.list("", stop.signal);
    const opened: number[] = [];
    await campaign("a", async (term) => void opened.push(term.opened));
    expect(opened).toEqual([revision]);
  });

  it("ends a second process of one name, which then waits as anybody does: the two never take turns", async () => {
    const terms: string[] = [];
    const first = campaign("a", async (_term, signal) => {
      terms.push("first");
      await untilAborted(signal);
    });
    await clock.advance(10);
    const own = new AbortController();
    const second = campaign(
      "a",
      async (_term, signal) => {
        terms.push("second");
        await untilAborted(signal);
      },
      AbortSignal.any([own.signal, stop.signal]),
    );
    await clock.advance(60_000);
    expect(terms).toEqual(["first", "second"]);
    own.abort();
    await second;
    await clock.advance(60_000);
    expect(terms).toEqual(["first", "second", "first"]);
    stop.abort();
    await first;
  });

  it("returns when the task is done, and throws what the task throws, giving the key up", async () => {
    await campaign("a", () => Promise.resolve());
    expect(await holder()).toBeUndefined();
    await expect(campaign("a", () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(await holder()).toBeUndefined();
  });
});
