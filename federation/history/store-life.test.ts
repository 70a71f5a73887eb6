import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { keys } from "#federation/catalog/keys.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { HistoryGuard } from "./history-guard.ts";
import { ExchangedStore } from "#federation/store/exchanged-store-fixture.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store, StoreEntry } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { StoreLife, witnessIntervalMs } from "./store-life.ts";
import { writeAtOnce } from "./write-at-once-fixture.ts";

/** Of a store that is new when the clock begins. */
const firstEpoch = new VirtualClock().nowMs() / 1_000;

describe("the life of a store", () => {
  const { signal } = new AbortController();
  const random = createSeededRandom(11);
  let directory: string;
  let dataDir: string;
  let store: ExchangedStore;
  let clock: VirtualClock;

  const witnessFile = (): string => join(dataDir, "witness.json");
  const newStore = async (): Promise<SqliteStore> => await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  const catalog = (over: Store = store) => new Catalog({ store: over, clock, onFault: ({ error }) => { throw error; } });
  /** One process of a plane: its life, and the store as the rest of it sees that. */
  const begin = async (instance = "a") => {
    const life = await StoreLife.open({ catalog: catalog(), store, instance, dataDir, writeFile: writeAtOnce, clock, random, logger: silentLogger }, signal);
    return { life, guarded: catalog(new HistoryGuard(store, life)) };
  };
  const position = { publisher: "global", epoch: 9, term: 1, stream: "s", seq: 1, floorEpoch: 9, floorRevision: 1, appliedAtMs: 1 };
  const write = async (to: Catalog, times: number): Promise<void> => {
    for (let turn = 0; turn < times; turn++) await to.positions.put("global", { ...position, seq: turn + 1 }, {}, signal);
  };
  const look = async (life: StoreLife): Promise<StoreStanding> => {
    const stop = new AbortController();
    const watching = life.watch(stop.signal).catch(() => undefined);
    await clock.advance(witnessIntervalMs + 100);
    stop.abort();
    await watching;
    return life.standing.current;
  };
  const copy = async (): Promise<readonly StoreEntry[]> => (await store.list(keys.root, signal)).entries;
  /** Another store in the place of this one, with what a copy holds, at a position that is at least `revision`. */
  const putBack = async (entries: readonly StoreEntry[], revision: number): Promise<void> => {
    await store.exchange(await newStore());
    for (const { key, value } of entries) await store.commit({ conditions: [], writes: [{ kind: "put", key, value }] }, signal);
    for (let at = 0; at < revision; at++) await store.commit({ conditions: [], writes: [{ kind: "put", key: `${keys.root}noise`, value: Buffer.from("x") }] }, signal);
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "atoll-life-"));
    dataDir = directory;
    clock = new VirtualClock();
    store = new ExchangedStore(await newStore());
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  it("begins with an epoch above those of all lives before, and goes on over restarts", async () => {
    const first = await begin();
    expect(first.life.standing.current).toEqual({ state: "sound", epoch: firstEpoch });
    await write(first.guarded, 3);
    await look(first.life);
    const second = await begin();
    expect(second.life.standing.current).toEqual({ state: "sound", epoch: firstEpoch });
    await write(second.guarded, 3);
    expect(await look(second.life)).toEqual({ state: "sound", epoch: firstEpoch });
  });

  it("does not go on by itself over a store that was lost, and does by a decision", async () => {
    const { life, guarded } = await begin();
    await write(guarded, 5);
    await look(life);
    await putBack([], 0);
    const again = await begin();
    expect(again.life.standing.current).toMatchObject({ state: "behind", reason: "epoch", witness: "this plane", witnessed: { epoch: firstEpoch }, found: { epoch: 0 } });
    await expect(write(again.guarded, 1)).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    expect(await again.life.beginEpoch(0, signal)).toBe(firstEpoch + 1);
    expect(again.life.standing.current).toEqual({ state: "sound", epoch: firstEpoch + 1 });
    await write(again.guarded, 1);
    expect(await look(again.life)).toEqual({ state: "sound", epoch: firstEpoch + 1 });
    expect((await begin()).life.standing.current).toEqual({ state: "sound", epoch: firstEpoch + 1 });
  });

  it("knows a store that was put back by its position, and still when it has grown past that", async () => {
    const { life, guarded } = await begin();
    await look(life);
    const before = await copy();
    await write(guarded, 20);
    await look(life);
    await putBack(before, 0);
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "revision" });
    await write(catalog(), 50);
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "revision" });
  });

  it("knows one that was put back under a running plane and has grown past it, by the mark that it lacks", async () => {
    const { life, guarded } = await begin();
    await look(life);
    const before = await copy();
    await write(guarded, 5);
    await look(life);
    await putBack(before, 100);
    expect(await look(life)).toMatchObject({ state: "behind", reason: "mark" });
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "mark" });
  });

  it("hears at once of an answer from an earlier position, and remembers it", async () => {
    const { life, guarded } = await begin();
    const before = await copy();
    await write(guarded, 5);
    await putBack(before, 0);
    await expect(guarded.positions.list(signal)).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    expect(life.standing.current).toMatchObject({ state: "behind", reason: "revision" });
    await write(catalog(), 50);
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "revision" });
  });

  it("lets no write into a store that lacks an acknowledged one, although its positions have grown past that and nobody has looked", async () => {
    const { life, guarded } = await begin();
    await write(guarded, 9);
    const before = await copy();
    await write(guarded, 1);
    await putBack(before, 100);
    const { revision } = await store.list(keys.root, signal);
    await expect(write(guarded, 1)).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    expect((await store.list(keys.root, signal)).revision).toBe(revision);
    expect(life.standing.current).toMatchObject({ state: "behind", reason: "mark" });
  });

  it("knows a store that lacks a plane's very last write, also when the plane ended with it and others have written since", async () => {
    const { guarded } = await begin();
    await write(guarded, 9);
    const before = await copy();
    await write(guarded, 1);
    await putBack(before, 100);
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "mark", witness: "this plane" });
  });

  it("knows a store that was filled anew key by key right after a write, although its numbers reach that one's", async () => {
    const { life, guarded } = await begin();
    await write(guarded, 9);
    await look(life);
    const before = await copy();
    await write(guarded, 1);
    const { revision } = await store.list(keys.root, signal);
    await store.exchange(await newStore());
    for (let at = 0; at < revision; at++) await store.commit({ conditions: [], writes: [{ kind: "put", key: `${keys.root}noise`, value: Buffer.from("x") }] }, signal);
    for (const { key, value } of before) await store.commit({ conditions: [], writes: [{ kind: "put", key, value }] }, signal);
    const filled = await store.list(keys.root, signal);
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "mark", witness: "this plane" });
    await expect(write(guarded, 1)).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    expect((await store.list(keys.root, signal)).revision).toBe(filled.revision);
    expect(life.standing.current).toMatchObject({ state: "behind", reason: "mark" });
  });

  it("takes what only its condition kept from being written for a conflict", async () => {
    const { life, guarded } = await begin();
    await write(guarded, 2);
    await expect(guarded.positions.put("global", position, { ifRevision: 1 }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect(life.standing.current).toEqual({ state: "sound", epoch: firstEpoch });
  });

  it("believes another plane that has seen more, until a decision goes above that", async () => {
    const { life } = await begin();
    const shown = { witnessed: { epoch: firstEpoch + 3, revision: 9 }, witness: "shop-us" };
    life.outdone({ ...shown, present: () => ({ epoch: firstEpoch + 3, revision: 9 }) });
    expect(await look(life)).toEqual({ state: "sound", epoch: firstEpoch });
    life.outdone({ ...shown, present: () => ({ epoch: firstEpoch, revision: 2 }) });
    expect(await look(life)).toMatchObject({ state: "behind", reason: "peer" });
    const again = await begin();
    expect(again.life.standing.current).toMatchObject({ state: "behind", reason: "peer", witness: "shop-us", witnessed: { epoch: firstEpoch + 3, revision: 9 } });
    expect(await again.life.beginEpoch(0, signal)).toBe(firstEpoch + 4);
    expect((await begin()).life.standing.current).toEqual({ state: "sound", epoch: firstEpoch + 4 });
  });

  it("writes no mark for what others do in the same engine, nor for its own mark", async () => {
    const { life, guarded } = await begin();
    await write(guarded, 1);
    await look(life);
    const marked = (await catalog().marks.get("a", signal))?.revision;
    await write(catalog(), 3);
    await look(life);
    await look(life);
    expect((await catalog().marks.get("a", signal))?.revision).toBe(marked);
    expect(JSON.parse(readFileSync(witnessFile(), "utf8"))).toMatchObject({ revision: (marked ?? 0) + 3 });
  });

  it("goes on over a store that answers and takes no writes for long, as one whose disk is full, from its first mark on and after a decision", async () => {
    let isFull = false;
    const commit: Store["commit"] = async (transaction, inner) => {
      if (isFull) throw new AtollError("ATOLL_STORE_UNAVAILABLE", "the disk is full");
      return await store.commit(transaction, inner);
    };
    const full: Store = { get: (...asked) => store.get(...asked), list: (...asked) => store.list(...asked), watch: (...asked) => store.watch(...asked), grantLease: (...asked) => store.grantLease(...asked), commit, [Symbol.asyncDispose]: () => Promise.resolve() };
    const life = await StoreLife.open({ catalog: catalog(full), store: full, instance: "a", dataDir, writeFile: writeAtOnce, clock, random, logger: silentLogger }, signal);
    const guarded = catalog(new HistoryGuard(full, life));
    const fill = async (): Promise<void> => {
      isFull = true;
      for (let turn = 0; turn < 8; turn++) expect((await look(life)).state).toBe("sound");
      isFull = false;
      expect((await look(life)).state).toBe("sound");
    };
    await fill();
    await write(guarded, 1);
    await fill();
    await life.beginEpoch(0, signal);
    await fill();
    const entries = await copy();
    await write(guarded, 3);
    await look(life);
    await putBack(entries, 100);
    expect(await look(life)).toMatchObject({ state: "behind", reason: "mark" });
  });

  it("takes two processes of a plane for two: neither looks for the other's mark", async () => {
    const first = await begin("a");
    await write(first.guarded, 1);
    await look(first.life);
    dataDir = join(directory, "other");
    const second = await begin("b");
    await write(second.guarded, 1);
    expect(await look(second.life)).toEqual({ state: "sound", epoch: firstEpoch });
    dataDir = directory;
    expect((await begin("a")).life.standing.current).toEqual({ state: "sound", epoch: firstEpoch });
  });

  it("does not end over a store that is away, nor over a witness that cannot be read", async () => {
    const { life, guarded } = await begin();
    await write(guarded, 2);
    await look(life);
    const before = readFileSync(witnessFile(), "utf8");
    await store[Symbol.asyncDispose]();
    expect(await look(life)).toEqual({ state: "sound", epoch: firstEpoch });
    expect(readFileSync(witnessFile(), "utf8")).toBe(before);
    store = new ExchangedStore(await newStore());
    writeFileSync(witnessFile(), "{");
    expect((await begin()).life.standing.current).toMatchObject({ state: "behind", reason: "epoch" });
    store = new ExchangedStore(await newStore());
    writeFileSync(witnessFile(), "{");
    writeFileSync(join(dataDir, "trail"), "");
    expect((await begin()).life.standing.current).toEqual({ state: "sound", epoch: Math.floor(clock.nowMs() / 1_000) });
  });
});
