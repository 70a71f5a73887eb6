import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import { describeStoreContract } from "./store-contract.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-sqlite-"));
let files = 0;
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describeStoreContract("sqlite in memory", () => openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger }));
// A slow disk under other tests is no fault of the store, so the bound is far above its default.
describeStoreContract("sqlite in a file", () =>
  openSqliteStore({ path: join(directory, `${++files}.sqlite`), clock: systemClock, logger: silentLogger, operationTimeoutMs: 60_000 }),
);
