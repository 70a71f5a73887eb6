import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { apiVersion, type Region } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { deletionsMax, recordedDeletions } from "./recorded-deletions.ts";

const { signal } = new AbortController();
const region = (name: string): Region => ({ apiVersion, kind: "Region", metadata: { name }, spec: {} });

describe("a deletion at the global plane", () => {
  const clock = new VirtualClock();
  let store: SqliteStore;
  let catalog: Catalog;

  beforeEach(async () => {
    store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
  });
  afterEach(async () => await store[Symbol.asyncDispose]());

  const recorded = async (): Promise<readonly string[]> => (await catalog.deletions.list(signal)).items.map(({ id }) => id);

  it("is recorded with it, and not when it does not happen", async () => {
    const regions = recordedDeletions("Region", catalog, clock);
    expect(await regions.remove("eu-west", {}, signal)).toBe(false);
    await regions.apply(region("eu-west"), {}, signal);
    const present = await regions.get("eu-west", signal);
    await expect(regions.remove("eu-west", { ifRevision: 99 }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    expect(await recorded()).toEqual([]);
    expect(await regions.remove("eu-west", { ifRevision: present?.revision ?? 0 }, signal)).toBe(true);
    expect(await regions.get("eu-west", signal)).toBeUndefined();
    expect(await recorded()).toEqual(["Region/eu-west"]);
    await expect(regions.remove("eu-west", { ifRevision: 99 }, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
  });

  it("is tried again when the resource is written meanwhile", async () => {
    const collection = catalog.resources("Region");
    await collection.apply(region("eu-west"), {}, signal);
    const racing = recordedDeletions("Region", catalog, clock);
    const read = collection.get.bind(collection);
    let isFirst = true;
    collection.get = async (id, inner) => {
      const present = await read(id, inner);
      if (isFirst) await collection.apply({ ...region("eu-west"), metadata: { name: "eu-west", labels: { tier: "one" } } }, {}, inner);
      isFirst = false;
      return present;
    };
    expect(await racing.remove("eu-west", {}, signal)).toBe(true);
    expect(await recorded()).toEqual(["Region/eu-west"]);
  });

  it("is remembered among as many as there may be, oldest gone first", async () => {
    for (let index = 0; index < deletionsMax; index++) await catalog.deletions.put(`Region/r${index}`, { kind: "Region", id: `r${index}`, deletedAtMs: 1 }, {}, signal);
    const regions = recordedDeletions("Region", catalog, clock);
    await regions.apply(region("eu-west"), {}, signal);
    await regions.remove("eu-west", {}, signal);
    const ids = await recorded();
    expect(ids).toHaveLength(deletionsMax);
    expect(ids).toContain("Region/eu-west");
    expect(ids).not.toContain("Region/r0");
  });
});
