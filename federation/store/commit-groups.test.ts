import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { CommitGroups } from "./commit-groups.ts";
import { openSqliteStore, type SqliteStore } from "./sqlite-store.ts";
import type { StoreCommit, StoreCondition, StoreTransaction, StoreWrite } from "./store.ts";

const { signal } = new AbortController();
const put = (key: string, value = "x"): StoreWrite => ({ kind: "put", key, value: Buffer.from(value) });
const absent = (key: string): StoreCondition => ({ kind: "revision", key, revision: 0 });
const writing = (...writes: readonly StoreWrite[]): StoreTransaction => ({ conditions: [], writes });

describe("transactions that go together", () => {
  let store: SqliteStore;
  let sent: StoreTransaction[];
  let groups: CommitGroups;
  let refused: number;
  const counter = { inc: () => void refused++ };

  beforeEach(async () => {
    store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
    sent = [];
    refused = 0;
    const send = async (transaction: StoreTransaction): Promise<StoreCommit> => {
      sent.push(transaction);
      return await store.commit(transaction, signal);
    };
    groups = new CommitGroups({ send, refused: counter });
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  const commit = (...transactions: readonly StoreTransaction[]): Promise<readonly StoreCommit[]> => Promise.all(transactions.map((transaction) => groups.add(transaction).outcome));
  const keysSent = (): readonly (readonly string[])[] => sent.map(({ writes }) => writes.map(({ key }) => key));

  it("are those that come while one is under way, in their order and at one revision", async () => {
    const [first, second, third] = await commit(writing(put("a")), writing(put("b")), writing(put("c"), { kind: "delete", key: "d" }));
    expect(keysSent()).toEqual([["a"], ["b", "c", "d"]]);
    expect(second).toEqual(third);
    expect(second).toMatchObject({ kind: "committed" });
    expect(first).not.toEqual(second);
    await commit(writing(put("e")));
    expect(keysSent().at(-1)).toEqual(["e"]);
  });

  it("ask once for what all of them ask for, and write once what all of them write alike", async () => {
    const { revision = 0 } = (await store.commit(writing(put("trail"), put("leader")), signal)) as { readonly revision?: number };
    const fenced = (key: string, from: number): StoreTransaction => ({
      conditions: [{ kind: "createRevision", key: "leader", revision }, { kind: "revisionFrom", key: "trail", revision: from }, { kind: "createRevision", key: "trail", revision }],
      writes: [put(key), put("trail")],
    });
    expect(await commit(fenced("a", revision), fenced("b", 1), fenced("c", revision))).toMatchObject([{ kind: "committed" }, { kind: "committed" }, { kind: "committed" }]);
    expect(sent.map(({ conditions }) => conditions)).toEqual([fenced("a", revision).conditions, fenced("a", revision).conditions]);
    expect(keysSent()).toEqual([["a", "trail"], ["b", "trail", "c"]]);
  });

  it("are sent again one by one when a condition of one does not hold, which alone is refused", async () => {
    await store.commit(writing(put("taken")), signal);
    const outcomes = await commit(writing(put("a")), writing(put("b")), { conditions: [absent("taken")], writes: [put("taken", "again")] }, writing(put("c")));
    expect(outcomes.map(({ kind }) => kind)).toEqual(["committed", "committed", "conflict", "committed"]);
    expect(keysSent()).toEqual([["a"], ["b", "taken", "c"], ["b"], ["taken"], ["c"]]);
  });

  it.each<readonly [string, StoreTransaction, StoreTransaction]>([
    ["write one key differently", writing(put("a", "1")), writing(put("a", "2"))],
    ["write what another one asks for", { conditions: [absent("a")], writes: [put("b")] }, writing(put("a"))],
    ["ask for what another one writes", writing(put("a")), { conditions: [absent("a")], writes: [put("b")] }],
    ["ask for two things that cannot both be", { conditions: [absent("a")], writes: [put("b")] }, { conditions: [{ kind: "revision", key: "a", revision: 7 }], writes: [put("c")] }],
    ["delete what another one wants to stay", { conditions: [{ kind: "revisionFrom", key: "a", revision: 1 }], writes: [put("b")] }, writing({ kind: "delete", key: "a" })],
    ["delete what another one has seen begin", { conditions: [{ kind: "createRevision", key: "a", revision: 1 }], writes: [put("b")] }, writing({ kind: "delete", key: "a" })],
    ["begin what another one wants to be absent", { conditions: [{ kind: "createRevision", key: "a", revision: 0 }], writes: [put("b")] }, writing(put("a"))],
    ["know of one key that it has begun at two places", { conditions: [{ kind: "createRevision", key: "a", revision: 1 }], writes: [put("b")] }, { conditions: [{ kind: "createRevision", key: "a", revision: 2 }], writes: [put("c")] }],
    ["write nothing", writing(put("a")), writing()],
    ["are too much for one", writing(...Array.from({ length: 100 }, (_, at) => put(`x${at}`))), writing(...Array.from({ length: 29 }, (_, at) => put(`y${at}`)))],
  ])("are none that %s", async (_name, left, right) => {
    await commit(writing(put("under way")), left, right);
    expect(sent.slice(0, 3)).toEqual([writing(put("under way")), left, right]);
  });

  it("let only one of two through that each write what the other one asks for", async () => {
    const outcomes = await commit(writing(put("under way")), { conditions: [absent("a")], writes: [put("b")] }, { conditions: [absent("b")], writes: [put("a")] });
    expect(outcomes.map(({ kind }) => kind)).toEqual(["committed", "committed", "conflict"]);
  });

  it("are never sent once nobody waits for them", async () => {
    const first = groups.add(writing(put("a")));
    const second = groups.add(writing(put("b")));
    const third = groups.add(writing(put("c")));
    second.giveUp();
    await Promise.all([first.outcome, third.outcome]);
    expect(keysSent()).toEqual([["a"], ["c"]]);
    expect(await store.get("b", signal)).toBeUndefined();
  });

  it("all fail with a call whose outcome nobody knows, and the next ones are sent all the same", async () => {
    let isFailing = true;
    const send = async (transaction: StoreTransaction): Promise<StoreCommit> => {
      if (isFailing) throw new Error("no answer");
      return await store.commit(transaction, signal);
    };
    const failing = new CommitGroups({ send, refused: counter });
    const outcomes = ["a", "b", "c"].map((key) => failing.add(writing(put(key))).outcome);
    expect((await Promise.allSettled(outcomes)).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    isFailing = false;
    expect(await failing.add(writing(put("d"))).outcome).toMatchObject({ kind: "committed" });
  });

  it("are refused when too many wait", async () => {
    const accepted: Promise<StoreCommit>[] = [];
    expect(() => {
      for (let at = 0; at < 3_000; at++) accepted.push(groups.add(writing(put(`key-${at}`))).outcome);
    }).toThrow(expect.objectContaining({ code: "ATOLL_STORE_UNAVAILABLE" }));
    expect(new Set((await Promise.all(accepted)).map(({ kind }) => kind))).toEqual(new Set(["committed"]));
    expect(accepted.length).toBeGreaterThan(2_000);
    expect(refused).toBe(1);
  });

  it("count like writers one after the other, whatever they write and ask for", async () => {
    const step = fc.record({ keys: fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 2 }), asked: fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { maxLength: 2 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 5 }), { minLength: 2, maxLength: 6 }), async (writers) => {
        await using fresh = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
        const through = new CommitGroups({ send: async (transaction) => await fresh.commit(transaction, signal), refused: counter });
        const counted = new Map<string, number>();
        // Each adds one to its keys, over exactly what it has read of these and of others.
        const writer = async (steps: typeof writers[number]): Promise<void> => {
          for (const { keys, asked } of steps) {
            const read = new Map(await Promise.all([...new Set([...keys, ...asked])].map(async (key) => [key, await fresh.get(key, signal)] as const)));
            const conditions = Array.from(read, ([key, entry]): StoreCondition => ({ kind: "revision", key, revision: entry?.revision ?? 0 }));
            const writes = keys.map((key) => put(key, String(Number(Buffer.from(read.get(key)?.value ?? [48]).toString()) + 1)));
            if ((await through.add({ conditions, writes }).outcome).kind !== "committed") continue;
            for (const key of keys) counted.set(key, (counted.get(key) ?? 0) + 1);
          }
        };
        await Promise.all(writers.map(writer));
        for (const [key, count] of counted) expect(Buffer.from((await fresh.get(key, signal))?.value ?? []).toString()).toBe(String(count));
      }),
    );
  });
});
