import { systemClock } from "#federation/runtime/clock.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { describeJoinRecordsContract } from "./join-records-contract.ts";

describeJoinRecordsContract("sqlite", () => openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger }));
