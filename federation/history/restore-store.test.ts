import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { keys } from "#federation/catalog/keys.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import type { StoreBackup } from "#federation/model/store-backup.ts";
import type { StoreStanding } from "#federation/model/store-standing.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { copyStore, type StoreCopy } from "./store-copy.ts";
import { demandBackupOf, restoreStore } from "./restore-store.ts";
import { StoreLife } from "./store-life.ts";
import { writeAtOnce } from "./write-at-once-fixture.ts";

const { signal } = new AbortController();
const madeAtMs = 1_795_000_000_000;

describe("a store that is filled from a backup", () => {
  const random = createSeededRandom(5);
  const directories: string[] = [];
  let clock: VirtualClock;
  let store: SqliteStore;
  let aside: (StoreCopy & { readonly epoch: number })[];

  const directory = (): string => {
    const made = mkdtempSync(join(tmpdir(), "atoll-restore-"));
    directories.push(made);
    return made;
  };
  const openStore = (): Promise<SqliteStore> => openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
  const catalog = (over = store): Catalog => new Catalog({ store: over, clock, onFault: ({ error }) => { throw error; } });
  const policy = (name: string, requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name }, spec: { targetRef: { namespace: "web", name }, timeouts: { requestMs } } });
  const apply = async (name: string, requestMs: number): Promise<unknown> => await catalog().resources("TrafficPolicy").apply(policy(name, requestMs), {}, signal);
  const policies = async (over = store): Promise<readonly string[]> => (await catalog(over).resources("TrafficPolicy").list(signal)).items.map(({ id, value }) => `${id} ${value.spec.timeouts?.requestMs}`);
  /** A process of the plane, which begins over the store as it is. */
  const begin = async (dataDir: string, over = store): Promise<StoreLife> =>
    await StoreLife.open({ catalog: catalog(over), store: over, instance: dataDir.slice(-6), dataDir, writeFile: writeAtOnce, clock, random, logger: silentLogger }, signal);
  const backUp = async (standing: StoreStanding): Promise<StoreBackup> => {
    const { revision, entries } = await copyStore(store, signal);
    return { head: { federation: "small.atoll", plane: "global", epoch: standing.state === "sound" ? standing.epoch : 0, revision, madeAtMs }, entries };
  };
  const restore = async (backup: StoreBackup, over = store): Promise<void> => {
    const work = restoreStore({ store: over, dataDir: directory(), plane: "global", backup, setAside: async (copy, epoch) => void aside.push({ ...copy, epoch }), clock, random, logger: silentLogger }, signal);
    const progress = { isDone: false };
    void work.finally(() => (progress.isDone = true)).catch(() => undefined);
    while (!progress.isDone) await clock.advance(100);
    await work;
  };

  beforeEach(async () => {
    clock = new VirtualClock();
    store = await openStore();
    aside = [];
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    for (const made of directories.splice(0)) rmSync(made, { recursive: true, force: true });
  });

  it("holds what it held then, keeps what it held until now aside, and asks every process of the plane, also one that remembers nothing", async () => {
    const dataDir = directory();
    const life = await begin(dataDir);
    await apply("kept", 1_000);
    await apply("deleted", 1_000);
    const backup = await backUp(life.standing.current);
    await apply("kept", 2_000);
    await apply("added", 1_000);
    await catalog().resources("TrafficPolicy").remove("web/deleted", {}, signal);
    const { epoch } = backup.head;
    await restore(backup);

    expect(await policies()).toEqual(["web/deleted 1000", "web/kept 1000"]);
    expect(aside).toMatchObject([{ epoch }]);
    expect(aside[0]?.entries.some(({ key }) => key.endsWith("web/added"))).toBe(true);
    for (const process of [dataDir, directory()]) {
      const again = await begin(process);
      expect(again.standing.current).toMatchObject({ state: "behind", reason: "mark", witness: expect.stringContaining(new Date(madeAtMs).toISOString()) });
    }
    const decided = await begin(dataDir);
    const next = await decided.beginEpoch(0, signal);
    expect(next).toBeGreaterThan(epoch);
    expect((await begin(directory())).standing.current).toEqual({ state: "sound", epoch: next });
  });

  it("can be filled again, from the same backup and from what was kept aside", async () => {
    const life = await begin(directory());
    await apply("kept", 1_000);
    const backup = await backUp(life.standing.current);
    await apply("kept", 2_000);
    await apply("added", 1_000);
    await restore(backup);
    await restore(backup);
    expect(await policies()).toEqual(["web/kept 1000"]);
    const [first] = aside;
    await restore({ head: { ...backup.head, epoch: first?.epoch ?? 0 }, entries: first?.entries ?? [] });
    expect(await policies()).toEqual(["web/added 1000", "web/kept 2000"]);
  });

  it("fills a store that is new, with nothing to keep aside", async () => {
    const life = await begin(directory());
    await apply("kept", 1_000);
    const backup = await backUp(life.standing.current);
    await using empty = await openStore();
    await restore(backup, empty);
    expect([await policies(empty), aside]).toEqual([["web/kept 1000"], []]);
    expect((await begin(directory(), empty)).standing.current).toMatchObject({ state: "behind" });
  });

  it("remembers where resources stood, for as long as they are the restored ones", async () => {
    const life = await begin(directory());
    await apply("kept", 1_000);
    const stoodAt = (await catalog().resources("TrafficPolicy").get("web/kept", signal))?.revision;
    const backup = await backUp(life.standing.current);
    for (let turn = 0; turn < 20; turn++) await apply("other", turn + 1);
    await restore(backup);
    const stored = await catalog().resources("TrafficPolicy").get("web/kept", signal);
    const restored = await catalog().restored.get("TrafficPolicy/web/kept", signal);
    expect(stored?.revision).toBeGreaterThan(20);
    expect(restored).toMatchObject({ revision: stored?.revision, value: { epoch: backup.head.epoch, revision: stoodAt } });
    await apply("kept", 3_000);
    expect((await catalog().resources("TrafficPolicy").get("web/kept", signal))?.revision).not.toBe((await catalog().restored.get("TrafficPolicy/web/kept", signal))?.revision);
  });

  it("brings back no token, no mark of a process and no leadership, and lets the present tokens go", async () => {
    const life = await begin(directory());
    await apply("kept", 1_000);
    const write = (key: string): Promise<unknown> => store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(1) }] }, signal);
    for (const prefix of [keys.joinTokens, keys.provisioningTokens, keys.provisioningIndex, keys.marks, keys.trails]) await write(`${prefix}then`);
    const backup = await backUp(life.standing.current);
    await write(`${keys.joinTokens}now`);
    await restore(backup);
    const { entries } = await store.list(keys.root, signal);
    expect(entries.map(({ key }) => key.slice(keys.root.length))).toEqual(["meta/epoch", "resources/TrafficPolicy/web/kept", "restored/TrafficPolicy/web/kept"]);
  });

  it("is left as it is while the plane leads", async () => {
    const life = await begin(directory());
    await apply("kept", 1_000);
    const backup = await backUp(life.standing.current);
    await apply("added", 1_000);
    const lease = await store.grantLease(5_000, signal);
    await store.commit({ conditions: [], writes: [{ kind: "put", key: keys.leader, value: new TextEncoder().encode("global-1 life"), lease }] }, signal);
    await expect(restore(backup)).rejects.toMatchObject({ code: "ATOLL_RESTORE_REFUSED", message: expect.stringContaining("the plane of global runs") });
    expect([await policies(), aside]).toEqual([["web/added 1000", "web/kept 1000"], []]);
  });

  it("takes no backup of another plane or federation, nor one with what no backup holds", async () => {
    const backup = await backUp({ state: "sound", epoch: 1 });
    const of = { federation: "small.atoll", plane: "global" };
    demandBackupOf(backup, of);
    for (const other of [{ ...of, plane: "shop-eu" }, { ...of, federation: "other.atoll" }]) expect(() => demandBackupOf(backup, other)).toThrow(expect.objectContaining({ code: "ATOLL_RESTORE_REFUSED" }) as Error);
    for (const key of [keys.leader, `${keys.marks}a`, "/other"]) {
      expect(() => demandBackupOf({ ...backup, entries: [{ key, revision: 1, value: new Uint8Array() }] }, of)).toThrow(expect.objectContaining({ code: "ATOLL_BACKUP_INVALID" }) as Error);
    }
  });
});
