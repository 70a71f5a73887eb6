import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog, objectId } from "#federation/catalog/catalog.ts";
import { keys } from "#federation/catalog/keys.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import type { StoreCondition } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { contentHash } from "../core/digest-table.ts";
import { emptyReplicaState, type ReplicaChange, type ReplicaCursor } from "../core/replica-state.ts";
import { CatalogReplicaStore, forgetReplica, recordOf } from "./catalog-replica-store.ts";

describe("CatalogReplicaStore", () => {
  const { signal } = new AbortController();
  const origins = new TestOrigins();
  const clock = new VirtualClock();
  let store: SqliteStore;
  let fence: StoreCondition[];
  let catalog: Catalog;
  const cursor: ReplicaCursor = { epoch: 2, term: 3, stream: "abc", seq: 4, floor: { epoch: 2, revision: 9 } };
  const open = (isFrom: (origin: string) => boolean = () => true): CatalogReplicaStore =>
    new CatalogReplicaStore({ catalog, publisher: "global", isFrom: (record) => isFrom(record.origin), clock });
  const put = (object: OpenedObject): ReplicaChange => ({ kind: "put", id: objectId(object.payload), object });

  beforeEach(async () => {
    store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
    fence = [];
    catalog = new Catalog({ store, clock, fence: () => fence, onFault: ({ error }) => { throw error; } });
  });
  afterEach(() => store[Symbol.asyncDispose]());

  it("is empty at first, and then what was committed, with the signature as it came", async () => {
    expect(await open().load(signal)).toEqual(emptyReplicaState);
    const object = origins.object("shop-eu", "web/a", 7);
    await open().commit([put(object)], cursor, signal);
    const state = await open().load(signal);
    expect(state.cursor).toEqual(cursor);
    expect([...state.live]).toEqual([["shop-eu/Note/web/a", { generation: { epoch: 1, revision: 7 }, content: contentHash(object.signed) }]]);
    const { items } = await catalog.objects.list(signal);
    expect(items[0]?.value).toMatchObject({ origin: "shop-eu", kind: "Note", key: "web/a" });
  });

  it("reads what its origin has said alone where that is all that comes through the publisher, and forgets no more", async () => {
    const objects = [origins.object("shop-1", "web/a", 7), origins.object("shop-10", "web/b", 8), origins.object("shop", "web/c", 9)];
    await open().commit(objects.map(put), cursor, signal);
    const damaged = `${keys.objects}shop-10/Note/web/d`;
    await store.commit({ conditions: [], writes: [{ kind: "put", key: damaged, value: Buffer.from("nothing that can be read") }] }, signal);
    // Whoever reads another origin's objects finds the damaged one, and throws.
    const from = (origin: string) => ({ catalog, publisher: "global", origin, isFrom: (record: { readonly origin: string }) => record.origin === origin });
    expect([...(await new CatalogReplicaStore({ ...from("shop-1"), clock }).load(signal)).live.keys()]).toEqual(["shop-1/Note/web/a"]);
    await expect(new CatalogReplicaStore({ ...from("shop-10"), clock }).load(signal)).rejects.toThrow();
    await forgetReplica(from("shop-1"), signal);
    expect((await store.list(keys.objects, signal)).entries.map(({ key }) => key.slice(keys.objects.length))).toEqual(["shop-10/Note/web/b", "shop-10/Note/web/d", "shop/Note/web/c"]);
  });

  it("remembers that withdrawals are held back", async () => {
    await open().commit([], { ...cursor, isHoldingBack: true }, signal);
    expect((await open().load(signal)).cursor).toEqual({ ...cursor, isHoldingBack: true });
    await open().commit([], cursor, signal);
    expect((await open().load(signal)).cursor).toEqual(cursor);
  });

  it("remembers that a publisher was seen behind, and the heartbeat that shows it, which is written only when it is another", async () => {
    const witness = { epoch: 2, term: 3, stream: "abc", seq: 4, beat: 9, revision: 12, sentAtMs: 1_000, heartbeat: Uint8Array.of(1, 2, 3) };
    const behind = { epoch: 2, sinceMs: 77 };
    const replica = open();
    await replica.commit([], { ...cursor, witness }, signal);
    const written = (await catalog.heartbeats.get("global", signal))?.revision;
    await replica.commit([], { ...cursor, behind, witness }, signal);
    expect((await catalog.heartbeats.get("global", signal))?.revision).toBe(written);
    const again = open();
    const state = await again.load(signal);
    expect(state.cursor).toEqual({ ...cursor, behind, witness });
    await again.commit([], { ...state.cursor, seq: 5 }, signal);
    expect((await catalog.heartbeats.get("global", signal))?.revision).toBe(written);
    await again.commit([], cursor, signal);
    expect((await open().load(signal)).cursor).toEqual({ ...cursor, witness });
  });

  it("takes an object that it cannot read for one of another content, so that it is fetched", async () => {
    const object = origins.object("shop-eu", "web/a", 7);
    await catalog.objects.put("shop-eu/Note/web/a", { ...recordOf(object, 1), signed: Uint8Array.of(255) }, {}, signal);
    expect((await open().load(signal)).live.get("shop-eu/Note/web/a")).toEqual({ generation: { epoch: 1, revision: 7 }, content: [0, 0] });
  });

  it("forgets all of one publisher and nothing of another", async () => {
    const witness = { epoch: 2, term: 3, stream: "abc", seq: 4, beat: 9, revision: 12, sentAtMs: 1_000, heartbeat: Uint8Array.of(1) };
    const many = Array.from({ length: 300 }, (_, index) => put(origins.object("shop-eu", `web/s${index}`, index + 1)));
    await open().commit([...many, put(origins.object("shop-us", "web/a", 1))], { ...cursor, witness }, signal);
    await forgetReplica({ catalog, publisher: "global", isFrom: ({ origin }) => origin === "shop-eu" }, signal);
    const state = await open().load(signal);
    expect(state.cursor).toEqual(emptyReplicaState.cursor);
    expect([...state.live.keys()]).toEqual(["shop-us/Note/web/a"]);
    await forgetReplica({ catalog, publisher: "global", isFrom: () => false }, signal);
  });

  it("counts only the origins that are its publisher's", async () => {
    await open().commit([put(origins.object("shop-eu", "web/a", 1)), put(origins.object("shop-us", "web/a", 1))], cursor, signal);
    expect([...(await open((origin) => origin !== "shop-us").load(signal)).live.keys()]).toEqual(["shop-eu/Note/web/a"]);
  });

  it("writes the last of several changes of a key, and more changes than one transaction holds", async () => {
    const many = Array.from({ length: 300 }, (_, index) => put(origins.object("shop-eu", `web/s${index}`, index + 1)));
    const first = many[0];
    if (first === undefined) throw new Error("there are many");
    await open().commit([...many, { kind: "remove", id: first.id, generation: { epoch: 1, revision: 400 }, reason: "withdrawn" }], cursor, signal);
    const { live } = await open().load(signal);
    expect(live.size).toBe(299);
    expect(live.has(first.id)).toBe(false);
  });

  it("writes nothing once its leadership is over", async () => {
    fence = [{ kind: "createRevision", key: "/leader", revision: 42 }];
    await expect(open().commit([put(origins.object("shop-eu", "web/a", 1))], cursor, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect((await open().load(signal)).live.size).toBe(0);
  });
});
