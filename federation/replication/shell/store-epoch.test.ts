import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ensureEpoch, keepWitness } from "./store-epoch.ts";

describe("the epoch of a store", () => {
  const { signal } = new AbortController();
  let directory: string;
  let witnessFile: string;
  let store: SqliteStore;
  let clock: VirtualClock;

  const newStore = async (): Promise<void> => {
    store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  };
  const options = () => ({
    catalog: new Catalog({ store, clock, onFault: ({ error }) => { throw error; } }),
    witnessFile,
    clock,
    logger: silentLogger,
  });
  const position = { publisher: "global", epoch: 1, term: 1, stream: "s", seq: 1, floorEpoch: 1, floorRevision: 1, appliedAtMs: 1 };
  const write = async (times: number): Promise<void> => {
    for (let turn = 0; turn < times; turn++) await options().catalog.positions.put("global", { ...position, seq: turn + 1 }, {}, signal);
  };
  const witnessed = async (epoch: number): Promise<void> => {
    const stop = new AbortController();
    const keeping = keepWitness(options(), epoch, stop.signal).catch(() => undefined);
    await clock.advance(2_500);
    stop.abort();
    await keeping;
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "atoll-epoch-"));
    witnessFile = join(directory, "witness.json");
    clock = new VirtualClock();
    await newStore();
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  it("is 1 in a new store, and stays over restarts", async () => {
    expect(await ensureEpoch(options(), signal)).toBe(1);
    await write(3);
    await witnessed(1);
    expect(await ensureEpoch(options(), signal)).toBe(1);
  });

  it("is the next one when the store was lost", async () => {
    await ensureEpoch(options(), signal);
    await write(5);
    await witnessed(1);
    await store[Symbol.asyncDispose]();
    await newStore();
    expect(await ensureEpoch(options(), signal)).toBe(2);
    expect(await ensureEpoch(options(), signal)).toBe(2);
  });

  it("is above every one witnessed when the store was rolled back", async () => {
    await ensureEpoch(options(), signal);
    writeFileSync(witnessFile, JSON.stringify({ epoch: 7, revision: 1 }));
    expect(await ensureEpoch(options(), signal)).toBe(8);
    writeFileSync(witnessFile, JSON.stringify({ epoch: 8, revision: 1_000_000 }));
    expect(await ensureEpoch(options(), signal)).toBe(9);
  });

  it("does not end over a store that is away, nor over a witness that cannot be read", async () => {
    await ensureEpoch(options(), signal);
    await write(2);
    await witnessed(1);
    const before = readFileSync(witnessFile, "utf8");
    await store[Symbol.asyncDispose]();
    await witnessed(1);
    expect(readFileSync(witnessFile, "utf8")).toBe(before);
    await newStore();
    writeFileSync(witnessFile, "{");
    expect(await ensureEpoch(options(), signal)).toBe(1);
  });
});
