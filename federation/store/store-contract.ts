import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { Store, StoreBatch, StoreCommit, StoreCondition, StoreEvent, StoreLease } from "./store.ts";
import { storeLimits } from "./store-limits.ts";

/** Opens an empty store; the suite closes it. */
export type OpenContractStore = () => Promise<Store>;

/** What every adapter of `Store` must do. Run it beside the adapter with a way to open an empty store. */
export function describeStoreContract(name: string, open: OpenContractStore): void {
  describe(`store contract: ${name}`, () => {
    let store: Store;
    let stop: AbortController;
    let signal: AbortSignal;

    beforeEach(async () => {
      stop = new AbortController();
      signal = stop.signal;
      store = await open();
    });

    afterEach(async () => {
      stop.abort();
      await store[Symbol.asyncDispose]();
    });

    const put = async (key: string, value: string, lease?: StoreLease): Promise<number> =>
      revisionOf(await store.commit({ conditions: [], writes: [{ kind: "put", key, value: bytes(value), ...(lease === undefined ? {} : { lease }) }] }, signal));
    const remove = async (key: string): Promise<number> => revisionOf(await store.commit({ conditions: [], writes: [{ kind: "delete", key }] }, signal));
    const read = async (key: string): Promise<string | undefined> => {
      const entry = await store.get(key, signal);
      return entry === undefined ? undefined : text(entry.value);
    };

    /** Keys `many/000000` and so on. */
    const putMany = async (count: number): Promise<void> => {
      for (let start = 0; start < count; start += 125) {
        const writes = Array.from({ length: 125 }, (_, offset) => ({ kind: "put" as const, key: `many/${String(start + offset).padStart(6, "0")}`, value: bytes("v") }));
        await store.commit({ conditions: [], writes }, signal);
      }
    };

    describe("reading and writing", () => {
      it("gives back what was written, with its revisions", async () => {
        const created = await put("a/1", "one");
        const changed = await put("a/1", "two");
        expect(changed).toBeGreaterThan(created);
        const entry = await store.get("a/1", signal);
        expect(entry).toMatchObject({ key: "a/1", revision: changed, createRevision: created });
        expect(text(entry?.value)).toBe("two");
      });

      it("has nothing under a key that was never written or was deleted", async () => {
        expect(await store.get("a/none", signal)).toBeUndefined();
        await put("a/1", "one");
        await remove("a/1");
        expect(await store.get("a/1", signal)).toBeUndefined();
      });

      it("gives a re-created key a new createRevision", async () => {
        const first = await put("a/1", "one");
        await remove("a/1");
        const second = await put("a/1", "again");
        expect(second).toBeGreaterThan(first);
        expect(await store.get("a/1", signal)).toMatchObject({ createRevision: second });
      });

      it("keeps empty, binary and large values and keys outside ASCII byte for byte", async () => {
        const large = new Uint8Array(storeLimits.valueBytesMax - 10).map((_, index) => index % 251);
        const values = new Map([["empty", new Uint8Array()], ["binary", Uint8Array.of(0, 255, 10, 0)], ["größe/日本", bytes("x")], ["large", large]]);
        for (const [key, value] of values) await store.commit({ conditions: [], writes: [{ kind: "put", key, value }] }, signal);
        for (const [key, value] of values) expect(Buffer.compare((await store.get(key, signal))?.value ?? bytes("absent"), value), key).toBe(0);
      });

      it("does not hand out the writer's own buffer", async () => {
        const value = bytes("before");
        await store.commit({ conditions: [], writes: [{ kind: "put", key: "a", value }] }, signal);
        value.fill(0);
        expect(await read("a")).toBe("before");
      });

      it("lists a prefix in the order of bytes, and nothing beside it", async () => {
        for (const key of ["b/2", "b/10", "b/é", "b0", "a/9", "b/", "b"]) await put(key, key);
        const listing = await store.list("b/", signal);
        expect(listing.entries.map((entry) => entry.key)).toEqual(["b/", "b/10", "b/2", "b/é"]);
        expect(listing.revision).toBe(await put("c", "next") - 1);
        expect((await store.list("", signal)).entries).toHaveLength(8);
        expect((await store.list("none/", signal)).entries).toEqual([]);
      });

      it("lists more entries than fit into one answer of an engine", async () => {
        await putMany(2_500);
        const { entries } = await store.list("many/", signal);
        expect(entries).toHaveLength(2_500);
        expect(entries.at(-1)?.key).toBe("many/002499");
      });

      it("lists many entries for several at once while others write, and each as of one revision", async () => {
        await putMany(1_500);
        const [first, wrote, second, none] = await Promise.all([store.list("many/", signal), put("many/000000", "new"), store.list("many/", signal), store.list("none/", signal)]);
        for (const { entries, revision } of [first, second]) {
          expect(entries).toHaveLength(1_500);
          expect(text(entries[0]?.value ?? bytes(""))).toBe(revision < wrote ? "v" : "new");
          expect(Math.max(...entries.map((entry) => entry.revision))).toBeLessThanOrEqual(revision);
        }
        expect(none.entries).toEqual([]);
      });
    });

    describe("transactions", () => {
      it("write all keys at one revision", async () => {
        const revision = revisionOf(
          await store.commit({ conditions: [], writes: [{ kind: "put", key: "a", value: bytes("1") }, { kind: "put", key: "b", value: bytes("2") }] }, signal),
        );
        expect((await store.list("", signal)).entries.map((entry) => entry.revision)).toEqual([revision, revision]);
      });

      it("write nothing when one condition does not hold", async () => {
        const revision = await put("a", "1");
        const commit = await store.commit(
          {
            conditions: [{ kind: "revision", key: "a", revision }, { kind: "revision", key: "b", revision: 7 }],
            writes: [{ kind: "put", key: "a", value: bytes("2") }, { kind: "put", key: "c", value: bytes("3") }],
          },
          signal,
        );
        expect(commit).toEqual({ kind: "conflict" });
        expect([await read("a"), await read("c")]).toEqual(["1", undefined]);
      });

      it("take revision 0 for an absent key, in both kinds of condition", async () => {
        const create = (kind: "revision" | "createRevision"): Promise<StoreCommit> =>
          store.commit({ conditions: [{ kind, key: "once", revision: 0 }], writes: [{ kind: "put", key: "once", value: bytes("x") }] }, signal);
        expect((await create("revision")).kind).toBe("committed");
        expect((await create("revision")).kind).toBe("conflict");
        expect((await create("createRevision")).kind).toBe("conflict");
      });

      it("take a key that was written at a revision or later, and no earlier one", async () => {
        const revision = await put("trail", "a");
        const from = async (key: string, least: number): Promise<StoreCommit["kind"]> =>
          (await store.commit({ conditions: [{ kind: "revisionFrom", key, revision: least }], writes: [{ kind: "put", key: "work", value: bytes("w") }] }, signal)).kind;
        expect([await from("trail", revision - 1), await from("trail", revision), await from("trail", revision + 1), await from("absent", 1)]).toEqual(["committed", "committed", "conflict", "conflict"]);
        await put("trail", "b");
        expect(await from("trail", revision + 1)).toBe("committed");
      });

      it("tell a changed key from a re-created one", async () => {
        const created = await put("leader", "a");
        await put("leader", "b");
        const whileCreated = (): Promise<StoreCommit> =>
          store.commit({ conditions: [{ kind: "createRevision", key: "leader", revision: created }], writes: [{ kind: "put", key: "work", value: bytes("w") }] }, signal);
        expect((await whileCreated()).kind).toBe("committed");
        await remove("leader");
        await put("leader", "c");
        expect((await whileCreated()).kind).toBe("conflict");
      });

      it("let exactly one of many writers with the same condition through", async () => {
        const revision = await put("contended", "0");
        const commits = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            store.commit({ conditions: [{ kind: "revision", key: "contended", revision }], writes: [{ kind: "put", key: "contended", value: bytes(`${index}`) }] }, signal),
          ),
        );
        expect(commits.filter((commit) => commit.kind === "committed")).toHaveLength(1);
      });

      it("that come at once are each written or refused by themselves, and a key of each is as its last writer left it", async () => {
        const fence = await put("leader", "here");
        await put("taken", "before");
        const outcomes = await Promise.all(
          Array.from({ length: 60 }, async (_, at) => {
            const isRefused = at % 20 === 7;
            const conditions: StoreCondition[] = [{ kind: "createRevision", key: "leader", revision: fence }, { kind: "revision", key: isRefused ? "taken" : `key/${at}`, revision: 0 }];
            return (await store.commit({ conditions, writes: [{ kind: "put", key: `key/${at}`, value: bytes(`${at}`) }, { kind: "put", key: "trail", value: bytes("{}") }] }, signal)).kind;
          }),
        );
        expect(outcomes.flatMap((kind, at) => (kind === "conflict" ? [at] : []))).toEqual([7, 27, 47]);
        const { entries } = await store.list("key/", signal);
        expect(entries.map(({ key, value }) => [key, text(value)])).toEqual(Array.from({ length: 60 }, (_, at) => [`key/${at}`, `${at}`]).filter((_, at) => at % 20 !== 7).toSorted(([left = ""], [right = ""]) => (left < right ? -1 : 1)));
        expect((await store.get("trail", signal))?.revision).toBe(Math.max(...entries.map(({ revision }) => revision)));
      });

      it("move no revision when they change nothing", async () => {
        const revision = await put("a", "1");
        expect(await remove("absent")).toBe(revision);
        expect(await store.commit({ conditions: [{ kind: "revision", key: "a", revision }], writes: [] }, signal)).toEqual({ kind: "committed", revision });
      });

      it("are refused beyond the bounds", async () => {
        const refused = async (writes: Parameters<Store["commit"]>[0]["writes"]): Promise<boolean> =>
          store.commit({ conditions: [], writes }, signal).then(
            () => false,
            (error: unknown) => isAtollError(error, "ATOLL_STORE_REQUEST_INVALID"),
          );
        const value = bytes("v");
        expect(await refused([{ kind: "put", key: "big", value: new Uint8Array(storeLimits.valueBytesMax + 1) }])).toBe(true);
        expect(await refused([{ kind: "put", key: "", value }])).toBe(true);
        expect(await refused([{ kind: "put", key: "twice", value }, { kind: "delete", key: "twice" }])).toBe(true);
        expect(await refused(Array.from({ length: storeLimits.transactionWritesMax + 1 }, (_, index) => ({ kind: "put", key: `k${index}`, value })))).toBe(true);
        expect(await refused(Array.from({ length: storeLimits.transactionWritesMax }, (_, index) => ({ kind: "put", key: `k${index}`, value })))).toBe(false);
      });
    });

    describe("watching", () => {
      it("starts with everything under the prefix, also when that is nothing", async () => {
        const revision = await put("w/1", "one");
        await put("other", "x");
        const batches = new BatchReader(store.watch("w/", signal));
        const first = await batches.next();
        expect(first.initial).toBe(true);
        expect(first.revision).toBeGreaterThanOrEqual(revision);
        expect(summary(first.events)).toEqual(["put w/1=one"]);
        const empty = await new BatchReader(store.watch("none/", signal)).next();
        expect(empty).toMatchObject({ initial: true, events: [] });
      });

      it("starts with many, and misses nothing that is written meanwhile", async () => {
        await putMany(1_500);
        const batches = new BatchReader(store.watch("many/", signal));
        const [first] = await Promise.all([batches.whole(), put("many/meanwhile", "1"), put("many/000000", "2"), remove("many/001499")]);
        const state = new Map<string, string>();
        for (const { events } of first) apply(state, events);
        expect(state.size).toBeGreaterThanOrEqual(1_499);
        expect(first.map(({ initial }) => initial)).toEqual(first.map((_, at) => at === 0));
        while (!state.has("many/meanwhile")) apply(state, (await batches.next()).events);
        while (state.has("many/001499") || state.get("many/000000") !== "2") apply(state, (await batches.next()).events);
        expect(state.size).toBe(1_500);
      });

      it("goes on with every change in order, once", async () => {
        await put("w/0", "0");
        const batches = new BatchReader(store.watch("w/", signal));
        await batches.next();
        const expected: string[] = [];
        for (let index = 1; index <= 50; index++) {
          await put(`w/${index % 7}`, `${index}`);
          expected.push(`put w/${index % 7}=${index}`);
          await put("beside", `${index}`);
        }
        await remove("w/3");
        expected.push("delete w/3");
        const events = await batches.events(expected.length);
        expect(summary(events)).toEqual(expected);
        expect(revisions(events)).toEqual(revisions(events).toSorted((a, b) => a - b));
      });

      it("keeps a transaction together in one batch", async () => {
        const batches = new BatchReader(store.watch("w/", signal));
        await batches.next();
        await put("w/a", "old");
        const revision = revisionOf(
          await store.commit(
            { conditions: [], writes: [{ kind: "put", key: "w/b", value: bytes("new") }, { kind: "delete", key: "w/a" }, { kind: "put", key: "w/c", value: bytes("new") }] },
            signal,
          ),
        );
        for (;;) {
          const batch = await batches.next();
          const ofTransaction = batch.events.filter((event) => revisions([event])[0] === revision);
          if (ofTransaction.length === 0) continue;
          expect(batch.revision).toBeGreaterThanOrEqual(revision);
          expect(summary(ofTransaction)).toEqual(["put w/b=new", "delete w/a", "put w/c=new"]);
          break;
        }
      });

      it("brings a slow reader to the same state as the store", async () => {
        const batches = new BatchReader(store.watch("w/", signal));
        const state = new Map<string, string>();
        apply(state, (await batches.next()).events);
        // Nobody reads meanwhile: more changes than a queue of the adapter holds.
        for (let start = 0; start < 3_000; start += 100) {
          await Promise.all(Array.from({ length: 100 }, (_, offset) => put(`w/${offset % 40}`, `${start + offset}`)));
        }
        await remove("w/39");
        await put("w/end", "end");
        while (state.get("w/end") !== "end") apply(state, (await batches.next()).events);
        const { entries } = await store.list("w/", signal);
        expect(state).toEqual(new Map(entries.map((entry) => [entry.key, text(entry.value)])));
      });

      it("ends when its signal aborts", async () => {
        const own = new AbortController();
        const batches = new BatchReader(store.watch("w/", own.signal));
        await batches.next();
        const end = batches.end();
        own.abort();
        expect(await end).toBe(true);
      });
    });

    describe("leases", () => {
      it("keep their keys, and delete them when they are given up", async () => {
        const batches = new BatchReader(store.watch("l/", signal));
        await batches.next();
        const lease = await store.grantLease(5_000, signal);
        await put("l/mine", "x", lease);
        await put("l/plain", "y");
        expect(lease.lost.aborted).toBe(false);
        await lease[Symbol.asyncDispose]();
        expect(lease.lost.aborted).toBe(true);
        expect([await read("l/mine"), await read("l/plain")]).toEqual([undefined, "y"]);
        expect(summary(await batches.events(3))).toEqual(["put l/mine=x", "put l/plain=y", "delete l/mine"]);
        await lease[Symbol.asyncDispose]();
      });

      it("let go of a key that is written again without them", async () => {
        const lease = await store.grantLease(5_000, signal);
        await put("l/kept", "leased", lease);
        await put("l/kept", "plain");
        await lease[Symbol.asyncDispose]();
        expect(await read("l/kept")).toBe("plain");
      });

      it("take no writes after their end", async () => {
        const lease = await store.grantLease(5_000, signal);
        await lease[Symbol.asyncDispose]();
        await expect(put("l/late", "x", lease)).rejects.toMatchObject({ code: "ATOLL_STORE_LEASE_LOST" });
        expect(await read("l/late")).toBeUndefined();
      });
    });

    it("refuses to begin an operation whose signal has aborted", async () => {
      const aborted = AbortSignal.abort();
      await expect(store.get("a", aborted)).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
      await expect(store.commit({ conditions: [], writes: [{ kind: "put", key: "a", value: bytes("x") }] }, aborted)).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
      expect(await read("a")).toBeUndefined();
    });

    it("may be closed twice, and answers nothing afterwards", async () => {
      await put("a", "1");
      await store[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      await expect(store.get("a", signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    });
  });
}

/** Reads a watch batch by batch; tests of adapters use it too. */
export class BatchReader {
  readonly #iterator: AsyncIterator<StoreBatch>;

  constructor(watch: AsyncIterable<StoreBatch>) {
    this.#iterator = watch[Symbol.asyncIterator]();
  }

  async next(): Promise<StoreBatch> {
    const result = await this.#iterator.next();
    if (result.done === true) throw new Error("the watch has ended");
    return result.value;
  }

  /** The batches up to the first that needs no other. */
  async whole(): Promise<readonly StoreBatch[]> {
    const batches: StoreBatch[] = [];
    do batches.push(await this.next());
    while (batches.at(-1)?.more === true);
    return batches;
  }

  /** At least `count` events of the following batches. */
  async events(count: number): Promise<readonly StoreEvent[]> {
    const events: StoreEvent[] = [];
    while (events.length < count) events.push(...(await this.next()).events);
    return events;
  }

  async end(): Promise<boolean> {
    return (await this.#iterator.next()).done === true;
  }
}

/** The events as short texts: `put key=value`, `delete key`. */
export function summary(events: readonly StoreEvent[]): readonly string[] {
  return events.map((event) => (event.kind === "put" ? `put ${event.entry.key}=${text(event.entry.value)}` : `delete ${event.key}`));
}

function revisions(events: readonly StoreEvent[]): readonly number[] {
  return events.map((event) => (event.kind === "put" ? event.entry.revision : event.revision));
}

function apply(state: Map<string, string>, events: readonly StoreEvent[]): void {
  for (const event of events) {
    if (event.kind === "put") state.set(event.entry.key, text(event.entry.value));
    else state.delete(event.key);
  }
}

function revisionOf(commit: StoreCommit): number {
  if (commit.kind !== "committed") throw new Error("the transaction was refused");
  return commit.revision;
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function text(value: Uint8Array | undefined): string {
  return new TextDecoder().decode(value);
}
