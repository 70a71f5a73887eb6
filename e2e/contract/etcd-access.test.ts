import { request } from "node:https";
import { Etcd3 } from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { engineCommonName, etcdAdministrator } from "#federation/model/engine-identity.ts";
import { planeCommonName, planeKeyPrefix, planeStoreHost } from "#federation/model/plane-store.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { openEtcdStore } from "#federation/store/etcd-store.ts";
import { runAsLeader } from "#federation/store/leader.ts";
import type { Store } from "#federation/store/store.ts";
import { BatchReader, summary } from "#federation/store/store-contract.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { secureEtcd } from "#services/cli/engines/etcd-access.ts";
import { openAsAdministrator } from "#services/cli/engines/etcd-administrator.ts";
import { etcdProblems, readEtcdStates } from "#services/cli/engines/etcd-findings.ts";
import type { EngineTlsFiles } from "#services/cli/engines/etcd-args.ts";
import { findTestEngine, startTestEtcd, TestAuthority, type RestartableEngine, type TestIdentity } from "./test-engines.ts";

const program = await findTestEngine("etcd");
const never = new AbortController().signal;
/** The name of the first begins with that of the second. */
const planes = ["global", "shop-eu", "shop"] as const;
/** In etcd's own words; it asks of some whether it knows them first. */
const denied = /permission denied|user not found|user name not found/;

describe.skipIf(program === undefined)("an etcd that knows planes apart", () => {
  const identities = new Map<string, TestIdentity>();
  let authority: TestAuthority;
  let administrator: EngineTlsFiles;
  let etcd: RestartableEngine;

  beforeAll(async () => {
    authority = new TestAuthority();
    for (const name of [...planes.map(planeCommonName), engineCommonName("eu-west"), "client", planeCommonName("gone")]) identities.set(name, authority.issue(name, ["URI:spiffe://demo.atoll/test", "IP:127.0.0.1"]));
    administrator = authority.issueFiles(etcdAdministrator, ["URI:spiffe://demo.atoll/test"]);
    etcd = await startTestEtcd(program ?? "", authority, "etcd");
  });
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]();
    authority[Symbol.dispose]();
  });

  const identityOf = (name: string): TestIdentity => identities.get(name) ?? expect.fail(`there is no ${name}`);
  const openPlane = (plane: string): Store =>
    openEtcdStore({ endpoints: [etcd.url], tls: () => identityOf(planeCommonName(plane)), keyPrefix: planeKeyPrefix(plane), clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs: 10_000 });
  const put = (store: Store, key: string, value: string) => store.commit({ conditions: [], writes: [{ kind: "put", key, value: new TextEncoder().encode(value) }] }, never);
  const secure = (tenants: readonly string[] = planes): Promise<readonly string[]> => secureEtcd({ tenants: { endpoints: [etcd.url], planes: tenants }, tls: administrator, clock: systemClock }, never);

  it("takes over data, watches and leases of planes that ran before, and lets each go on in its own part", async () => {
    await using store = openPlane("shop-eu");
    await put(store, "/before", "1");
    const lease = await store.grantLease(60_000, never);
    await store.commit({ conditions: [], writes: [{ kind: "put", key: "/leased", value: new Uint8Array(), lease }] }, never);
    const stop = new AbortController();
    const watched = new BatchReader(store.watch("/", stop.signal));
    await watched.next();
    // Its plane writes all the while.
    const isSecured = new WatchedValue(false);
    const secured = secure().finally(() => isSecured.set(true));
    while (!isSecured.current) expect((await put(store, "/busy", "1")).kind).toBe("committed");
    await secured;
    await store.commit({ conditions: [], writes: [{ kind: "delete", key: "/busy" }] }, never);
    await put(store, "/after", "2");
    let seen = "";
    while (seen !== "put /after=2") seen = summary((await watched.next()).events).at(-1) ?? "";
    expect((await store.list("/", never)).entries.map(({ key }) => key)).toEqual(["/after", "/before", "/leased"]);
    expect((await store.commit({ conditions: [{ kind: "revision", key: "/none", revision: 0 }], writes: [{ kind: "delete", key: "/before" }] }, never)).kind).toBe("committed");
    let terms = 0;
    await runAsLeader(store, { key: "/leader", id: "one", clock: systemClock, random: systemRandom, logger: silentLogger }, async () => void terms++, never);
    expect(terms).toBe(1);
    await lease[Symbol.asyncDispose]();
    expect(await store.get("/leased", never)).toBeUndefined();
    stop.abort();
  });

  it("may be told again at any time, gives up what a plane held that is gone, and knows its planes after a restart", async () => {
    await secure([...planes, "gone"]);
    await using gone = openPlane("gone");
    await put(gone, "/a", "1");
    await secure();
    await expect(put(gone, "/a", "2")).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    await etcd.kill();
    await etcd.start();
    expect(await secure()).toEqual([expect.stringMatching(/^3\./)]);
    await using store = openPlane("shop");
    await put(store, "/a", "1");
    await expect(gone.get("/a", never)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
  });

  const problems = async (): Promise<readonly string[]> => etcdProblems(await readEtcdStates([{ endpoints: [etcd.url], planes }], administrator, systemClock));

  it("says what `atoll check` has to know of it", async () => {
    const client = await openAsAdministrator({ endpoints: [etcd.url], tls: administrator, clock: systemClock, callTimeoutMs: 10_000 });
    await client.auth.authDisable();
    expect(await problems()).toEqual([expect.stringContaining("lets every certificate of the federation do everything in it")]);
    await secure(planes.filter((plane) => plane !== "shop"));
    expect(await problems()).toEqual([expect.stringContaining("does not know shop, and refuses")]);
    await secure();
    expect(await problems()).toEqual([]);
    const { header } = await client.maintenance.status();
    const alarm = { memberID: header.member_id, alarm: "Nospace" } as const;
    await client.maintenance.alarm({ ...alarm, action: "Activate" });
    expect(await problems()).toEqual([expect.stringContaining("is full and refuses writes")]);
    await client.maintenance.alarm({ ...alarm, action: "Deactivate" });
    expect(await problems()).toEqual([]);
    client.close();
  });

  const theirs = (key = "/secret"): Buffer => Buffer.from(`${planeKeyPrefix("shop-eu")}${key}`);
  const everything = { key: Buffer.of(0), range_end: Buffer.of(0) };
  const attempts: Readonly<Record<string, (client: Etcd3, leaseId: string) => Promise<unknown>>> = {
    "read a key": ({ kv }) => kv.range({ key: theirs() }),
    "count keys": ({ kv }) => kv.range({ ...everything, count_only: true }),
    "read a prefix that begins as its own": ({ kv }) => kv.range({ key: Buffer.from(planeKeyPrefix("shop")), range_end: Buffer.from("/atoll/cluster/shoq") }),
    "read the past": ({ kv }) => kv.range({ key: theirs(), revision: 1 }),
    write: ({ kv }) => kv.put({ key: theirs(), value: Buffer.from("x") }),
    delete: ({ kv }) => kv.deleteRange({ key: theirs() }),
    "delete everything": ({ kv }) => kv.deleteRange(everything),
    "compare in a transaction": ({ kv }) => kv.txn({ compare: [{ key: theirs(), result: "Equal", target: "Value", value: Buffer.from("guess") }], success: [], failure: [] }),
    "write in a transaction": ({ kv }) => kv.txn({ compare: [], success: [{ request_put: { key: theirs(), value: Buffer.from("x") } }], failure: [] }),
    "read in the branch of a transaction that is not taken": ({ kv }) => kv.txn({ compare: [], success: [], failure: [{ request_range: { key: theirs() } }] }),
    "watch from the first revision": (client) => firstAnswer(client, theirs("/"), theirs("0")),
    "watch everything": (client) => firstAnswer(client, everything.key, everything.range_end),
    "revoke a lease": ({ leaseClient }, ID) => leaseClient.leaseRevoke({ ID }),
    "take a snapshot": async ({ maintenance }) => {
      const stream = await maintenance.snapshot();
      await new Promise((resolve, reject) => {
        stream.on("data", resolve);
        stream.on("error", reject);
      });
    },
    defragment: ({ maintenance }) => maintenance.defragment(),
    "list users": ({ auth }) => auth.userList(),
    "grant itself more": ({ auth }) => auth.userGrantRole({ user: planeCommonName("shop"), role: "root" }),
    "switch it all off": ({ auth }) => auth.authDisable(),
  };

  for (const name of [planeCommonName("shop"), "client", engineCommonName("eu-west")]) {
    for (const [what, attempt] of Object.entries(attempts)) {
      it(`does not let ${name} ${what}`, async () => {
        await using victim = openPlane("shop-eu");
        await using lease = await victim.grantLease(60_000, never);
        await victim.commit({ conditions: [], writes: [{ kind: "put", key: "/secret", value: Buffer.from("kept"), lease }] }, never);
        await expect(as(etcd.url, identityOf(name), (client) => attempt(client, lease.id))).rejects.toThrow(denied);
        expect(new TextDecoder().decode((await victim.get("/secret", never))?.value)).toBe("kept");
      });
    }
  }

  it("has no gateway, which would speak to it by etcd's own certificate", async () => {
    const { caPem, certificatePem, privateKeyPem } = identityOf(planeCommonName("shop"));
    const status = await new Promise((resolve, reject) => {
      const asked = request(`${etcd.url}/v3/kv/range`, { method: "POST", ca: caPem, cert: certificatePem, key: privateKeyPem, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.once("error", reject).end(JSON.stringify({ key: theirs().toString("base64") }));
    });
    expect(status).toBe(404);
  });
});

describe.skipIf(program === undefined)("an etcd of one plane alone", () => {
  it("lets nobody in but its plane and the administrator, not even to try what a version of etcd forgets to judge", async () => {
    using authority = new TestAuthority();
    await using etcd = await startTestEtcd(program ?? "", authority, "etcd", { clientHost: planeStoreHost("shop-eu") });
    const issue = (name: string, ...hosts: readonly string[]): TestIdentity => authority.issue(name, ["URI:spiffe://demo.atoll/test", "IP:127.0.0.1", ...hosts.map((host) => `DNS:${host}`)]);
    const tls = authority.issueFiles(etcdAdministrator, ["URI:spiffe://demo.atoll/test", ...["global", "shop-eu"].map((plane) => `DNS:${planeStoreHost(plane)}`)]);
    await secureEtcd({ tenants: { endpoints: [etcd.url], planes: ["shop-eu"] }, tls, clock: systemClock }, never);
    const key = Buffer.from(`${planeKeyPrefix("shop-eu")}/secret`);
    const name = planeCommonName("shop-eu");
    await as(etcd.url, issue(name, "127.0.0.1", planeStoreHost("shop-eu")), ({ kv }) => kv.put({ key, value: Buffer.from("kept") }));
    // A transaction within a transaction is judged by nobody in releases from before March 2026 (GHSA-rfx7-8w68-q57q).
    const nested = { compare: [], success: [{ request_txn: { compare: [], success: [{ request_range: { key } }], failure: [] } }], failure: [] } as never;
    for (const stranger of [issue(planeCommonName("shop"), planeStoreHost("shop")), issue(engineCommonName("shop-eu-etcd")), issue("client"), issue(name)]) {
      await expect(as(etcd.url, stranger, ({ kv }) => kv.txn(nested))).rejects.toThrow(/UNAVAILABLE/);
    }
  });
});

/** The first that a watch says: events, or why there are none. */
async function firstAnswer(client: Etcd3, key: Buffer, rangeEnd: Buffer): Promise<void> {
  const stream = await client.watchClient.watch();
  try {
    const answer = await new Promise<{ readonly canceled: boolean; readonly cancel_reason: string }>((resolve, reject) => {
      stream.on("data", (said) => (said.canceled || said.events.length > 0 ? resolve(said) : undefined)).on("error", reject);
      stream.write({ create_request: { key, range_end: rangeEnd, start_revision: "1" } });
    });
    if (answer.canceled) throw new Error(answer.cancel_reason);
  } finally {
    stream.cancel();
  }
}

async function as<T>(url: string, { caPem, certificatePem, privateKeyPem }: TestIdentity, work: (client: Etcd3) => Promise<T>): Promise<T> {
  const client = new Etcd3({ hosts: url, credentials: { rootCertificate: Buffer.from(caPem), certChain: Buffer.from(certificatePem), privateKey: Buffer.from(privateKeyPem) } });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}
