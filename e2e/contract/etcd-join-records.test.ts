import { afterAll, beforeAll, describe } from "vitest";
import { describeJoinRecordsContract } from "#federation/catalog/join-records-contract.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { openEtcdStore } from "#federation/store/etcd-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { findTestEngine, startTestEtcd, TestAuthority, type RestartableEngine, type TestIdentity } from "./test-engines.ts";

const program = await findTestEngine("etcd");

describe.skipIf(program === undefined)("joining on a real etcd", () => {
  let authority: TestAuthority;
  let etcd: RestartableEngine;
  let identity: TestIdentity;
  let stores = 0;

  beforeAll(async () => {
    authority = new TestAuthority();
    identity = authority.issue("plane", ["URI:spiffe://demo.atoll/atoll/plane/global"]);
    etcd = await startTestEtcd(program ?? "", authority, "etcd");
  });
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]();
    authority[Symbol.dispose]();
  });

  // A busy machine is no fault of the records, so the bound is far above its default.
  describeJoinRecordsContract("etcd over mutual TLS", () =>
    Promise.resolve(openEtcdStore({ endpoints: [etcd.url], tls: () => identity, keyPrefix: `/test/${++stores}/`, clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs: 30_000 })),
  );
});
