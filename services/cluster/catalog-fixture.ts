import { Catalog } from "#federation/catalog/catalog.ts";
import { systemClock, type Clock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";

/** A catalog over a store in memory, for tests; dispose it when the test ends. */
export interface TestCatalog extends AsyncDisposable {
  readonly store: SqliteStore;
  readonly catalog: Catalog;
}

export async function openTestCatalog(clock: Clock = new VirtualClock()): Promise<TestCatalog> {
  const store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  const catalog = new Catalog({
    store,
    clock,
    onFault: ({ error }) => {
      throw error;
    },
  });
  return { store, catalog, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

/** Lets what the store has to say arrive, without moving time. */
export async function settled(clock: VirtualClock): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await clock.advance(0);
}
