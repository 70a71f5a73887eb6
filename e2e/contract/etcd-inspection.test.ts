import { describe, expect, it } from "vitest";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { planeCommonName, planeKeyPrefix } from "#federation/model/plane-store.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { EtcdInspection } from "#federation/store/etcd-inspection.ts";
import { openEtcdStore } from "#federation/store/etcd-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { secureEtcd } from "#services/cli/engines/etcd-access.ts";
import { openAsAdministrator } from "#services/cli/engines/etcd-administrator.ts";
import { holdsToRoles } from "#services/cli/engines/etcd-version.ts";
import { findTestEngine, startTestEtcd, TestAuthority, type TestIdentity } from "./test-engines.ts";

const program = await findTestEngine("etcd");
const never = new AbortController().signal;
const uris = ["URI:spiffe://demo.atoll/test", "IP:127.0.0.1"];

/** A clock that is wrong, or further on, by what the test says. */
const clockBy = (offset: { wallMs?: number; monotonicMs?: number }) => ({ ...systemClock, nowMs: () => systemClock.nowMs() + (offset.wallMs ?? 0), monotonicMs: () => systemClock.monotonicMs() + (offset.monotonicMs ?? 0) });

describe.skipIf(program === undefined)("what a plane finds out about its etcd by its own certificate", () => {
  const inspect = (url: string, plane: string, identity: TestIdentity, clock = systemClock) => new EtcdInspection({ endpoints: [url], tls: () => identity, keyPrefix: planeKeyPrefix(plane), clock });
  const openStore = (url: string, plane: string, identity: TestIdentity): Store =>
    openEtcdStore({ endpoints: [url], tls: () => identity, keyPrefix: planeKeyPrefix(plane), clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs: 10_000 });
  const put = async (store: Store, key: string): Promise<unknown> => await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array(8) }] }, never);

  it("is its version, size, alarms and clock, and what it may do to keys of others before and after it is told its planes apart", async () => {
    using authority = new TestAuthority();
    await using etcd = await startTestEtcd(program ?? "", authority, "etcd");
    const [shop, global] = ["shop", "global"].map((plane) => authority.issue(planeCommonName(plane), uris)) as [TestIdentity, TestIdentity];
    const administrator = authority.issueFiles(etcdAdministrator, uris);
    await using mine = openStore(etcd.url, "shop", shop);
    await using theirs = openStore(etcd.url, "global", global);
    await put(mine, "/a");
    const inspection = inspect(etcd.url, "shop", shop);

    const [alone] = await inspection.look();
    expect(alone).toMatchObject({ kind: "etcd", address: etcd.url, version: expect.stringMatching(/^3\.\d+\.\d+$/) as string, alarms: [], reaches: [] });
    expect(alone?.database?.quotaBytes).toBeGreaterThan(1024 ** 3);
    expect(alone?.database?.bytes).toBeGreaterThan(0);
    expect(Math.abs(alone?.clockAheadMs ?? Number.NaN)).toBeLessThan(10_000);
    expect(alone?.syncs).toBeUndefined();

    await put(theirs, "/secret");
    const { revision } = await theirs.list("/", never);
    const [open] = await inspection.look();
    expect(open?.reaches).toEqual(["read", "write"]);
    expect(JSON.stringify(open)).not.toContain("secret");
    expect((await theirs.list("/", never)).revision).toBe(revision);

    await secureEtcd({ tenants: { endpoints: [etcd.url], planes: ["shop", "global"] }, tls: administrator, clock: systemClock }, never);
    const [told] = await inspection.look();
    expect(told?.reaches).toEqual(holdsToRoles(told?.version ?? "") ? [] : ["nested"]);
    expect((await theirs.list("/", never)).entries.map(({ key }) => key)).toEqual(["/secret"]);

    const client = await openAsAdministrator({ endpoints: [etcd.url], tls: administrator, clock: systemClock, callTimeoutMs: 10_000 });
    await client.maintenance.alarm({ memberID: (await client.maintenance.status()).header.member_id, alarm: "Nospace", action: "Activate" });
    client.close();
    expect((await inspection.look())[0]?.alarms).toEqual(["NOSPACE"]);

    const [skewed] = await inspect(etcd.url, "shop", shop, clockBy({ wallMs: 600_000 })).look();
    expect(skewed?.clockAheadMs).toBeLessThan(-590_000);
    await etcd.kill();
    expect(await inspection.look()).toEqual([{ kind: "etcd", address: etcd.url, silent: expect.any(String) as string }]);
  });

  it.each([
    { how: "as it has to", args: [], syncs: true },
    { how: "never", args: ["--unsafe-no-fsync"], syncs: false },
  ])("is whether it brings its log to the disk ($how)", async ({ args, syncs }) => {
    using authority = new TestAuthority();
    await using etcd = await startTestEtcd(program ?? "", authority, "etcd", { more: args });
    const shop = authority.issue(planeCommonName("shop"), uris);
    await using store = openStore(etcd.url, "shop", shop);
    const offset = { monotonicMs: 0 };
    const inspection = inspect(etcd.url, "shop", shop, clockBy(offset));
    for (let turn = 0; turn < 3; turn++) {
      const [report] = await inspection.look();
      expect(report?.syncs).toEqual(turn === 0 ? undefined : { count: syncs ? expect.any(Number) : 0, slow: expect.any(Number) as number, writes: expect.any(Number) as number });
      if (turn > 0) {
        expect(report?.syncs?.writes).toBeGreaterThanOrEqual(20);
        if (syncs) expect(report?.syncs?.count).toBeGreaterThanOrEqual(20);
      }
      for (let write = 0; write < 20; write++) await put(store, `/${write}`);
      offset.monotonicMs += 61_000;
    }
    await etcd.kill();
    await etcd.start();
    await expect.poll(async () => (await inspection.look())[0]?.silent).toBeUndefined();
    expect((await inspection.look())[0]?.syncs).toBeUndefined();
  });
});
