import { Etcd3 } from "etcd3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { until } from "#federation/runtime/watched.ts";
import { openEtcdStore } from "#federation/store/etcd-store.ts";
import { runAsLeader } from "#federation/store/leader.ts";
import type { Store, StoreLease } from "#federation/store/store.ts";
import { BatchReader, describeStoreContract, summary } from "#federation/store/store-contract.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { TestLink } from "../harness/test-link.ts";
import { findTestEngine, startTestEtcd, TestAuthority, type RestartableEngine, type TestIdentity } from "./test-engines.ts";

const program = await findTestEngine("etcd");

describe.skipIf(program === undefined)("a real etcd", () => {
  let authority: TestAuthority;
  let etcd: RestartableEngine;
  let identity: TestIdentity;
  let stop: AbortController;
  let signal: AbortSignal;
  let stores = 0;

  const openStore = (keyPrefix = `/test/${++stores}/`, tls = identity, operationTimeoutMs = 1_000): Store =>
    openEtcdStore({ endpoints: [etcd.url], tls: () => tls, keyPrefix, clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs });
  const put = async (store: Store, key: string, value: string, lease?: StoreLease): Promise<number> => {
    const write = { kind: "put" as const, key, value: new TextEncoder().encode(value), ...(lease === undefined ? {} : { lease }) };
    const commit = await store.commit({ conditions: [], writes: [write] }, signal);
    if (commit.kind !== "committed") throw new Error("refused");
    return commit.revision;
  };
  /** Writes as an operator's client would, until etcd is back. */
  const putWhenBack = async (store: Store, key: string, value: string): Promise<void> => {
    for (;;) {
      try {
        await put(store, key, value);
        return;
      } catch (error) {
        expect(error).toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
      }
    }
  };
  /** etcd3 as the tests' own client: compaction is nothing that the port offers. */
  const withClient = async <T>(work: (client: Etcd3) => Promise<T>): Promise<T> => {
    const { caPem, certificatePem, privateKeyPem } = identity;
    const client = new Etcd3({
      hosts: etcd.url,
      credentials: { rootCertificate: Buffer.from(caPem), certChain: Buffer.from(certificatePem), privateKey: Buffer.from(privateKeyPem) },
    });
    try {
      return await work(client);
    } finally {
      client.close();
    }
  };

  it("is reached by its name, against which its certificate is checked, and again after its end", async () => {
    const endpoint = etcd.url.replace("127.0.0.1", "localhost");
    const options = { endpoints: [endpoint], tls: () => identity, keyPrefix: `/test/${++stores}/`, clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs: 1_000 };
    await using store = openEtcdStore(options);
    await put(store, "/a", "1");
    await etcd.kill();
    await etcd.start();
    await putWhenBack(store, "/a", "2");
  });

  beforeAll(async () => {
    authority = new TestAuthority();
    identity = authority.issue("plane", ["URI:spiffe://demo.atoll/atoll/plane/global"]);
    etcd = await startTestEtcd(program ?? "", authority, "etcd");
  });
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]();
    authority[Symbol.dispose]();
  });
  beforeEach(() => {
    stop = new AbortController();
    signal = stop.signal;
  });
  afterEach(() => stop.abort());

  // A busy machine is no fault of the store, so the bound is far above its default here.
  describeStoreContract("etcd over mutual TLS", () => Promise.resolve(openStore(undefined, undefined, 30_000)));

  it("serves nobody without a certificate of its authority", async () => {
    using other = new TestAuthority("other");
    const forged = { ...other.issue("plane", ["URI:spiffe://demo.atoll/atoll/plane/global"]), caPem: identity.caPem };
    await using store = openStore("/test/forged/", forged);
    await expect(store.get("a", signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
  });

  it("may be killed and restarted: nothing acknowledged is lost, and a watch goes on without repeating itself", async () => {
    await using store = openStore();
    const batches = new BatchReader(store.watch("w/", signal));
    await batches.next();
    await put(store, "w/1", "before");
    expect(summary(await batches.events(1))).toEqual(["put w/1=before"]);
    await etcd.kill();
    await expect(store.get("w/1", signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    await etcd.start();
    await putWhenBack(store, "w/2", "after");
    expect((await store.get("w/1", signal))?.value).toEqual(new TextEncoder().encode("before"));
    expect(summary(await batches.events(1))[0]).toBe("put w/2=after");
  });

  it("may stop answering: operations fail within their bound, and the watch goes on afterwards", async () => {
    await using store = openStore();
    const batches = new BatchReader(store.watch("w/", signal));
    await batches.next();
    await put(store, "w/1", "before");
    await batches.events(1);
    etcd.process.signal("SIGSTOP");
    const outcome = store.get("w/1", signal);
    await expect(outcome).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    etcd.process.signal("SIGCONT");
    await putWhenBack(store, "w/2", "after");
    expect(summary(await batches.events(1))[0]).toBe("put w/2=after");
  });

  it("may lie behind a way over which a page of a listing takes longer than a call may: pages become smaller until they come", async () => {
    await using writer = openStore("/test/narrow/");
    const [keys, bytes] = [1_000, new Uint8Array(1_024).fill(120)];
    for (let at = 0; at < keys; at += 100) {
      await writer.commit({ conditions: [], writes: Array.from({ length: 100 }, (_, offset) => ({ kind: "put" as const, key: `n/${at + offset}`, value: bytes })) }, signal);
    }
    const { hostname, port } = new URL(etcd.url);
    await using link = await TestLink.open(hostname, Number(port), { bytesPerSecond: 200_000 });
    await using store = openEtcdStore({ endpoints: [`https://127.0.0.1:${link.port}`], tls: () => identity, keyPrefix: "/test/narrow/", clock: systemClock, random: systemRandom, logger: silentLogger });
    await expect(store.list("n/", signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    const batches = new BatchReader(store.watch("n/", signal));
    expect((await batches.whole()).flatMap(({ events }) => events)).toHaveLength(keys);
  });

  it("may compact what a watch has missed: the watch lists anew and tells only the difference", async () => {
    const keyPrefix = "/test/compacted/";
    await using writer = openStore(keyPrefix);
    await using store = openStore(keyPrefix);
    await put(writer, "w/kept", "same");
    await put(writer, "w/gone", "x");
    await put(writer, "w/changed", "old");
    const batches = new BatchReader(store.watch("w/", signal));
    expect(summary((await batches.next()).events).toSorted()).toEqual(["put w/changed=old", "put w/gone=x", "put w/kept=same"]);
    // The reader holds the listing and has not opened its stream yet, as if it were away from here on.
    await put(writer, "w/changed", "between");
    await put(writer, "w/changed", "new");
    await writer.commit({ conditions: [], writes: [{ kind: "delete", key: "w/gone" }] }, signal);
    const revision = await put(writer, "w/new", "y");
    await withClient((client) => client.kv.compact({ revision: String(revision), physical: true }));
    const batch = await batches.next();
    expect(batch.initial).toBe(false);
    expect(summary(batch.events).toSorted()).toEqual(["delete w/gone", "put w/changed=new", "put w/new=y"]);
    await put(writer, "w/live", "z");
    expect(summary(await batches.events(1))).toEqual(["put w/live=z"]);
  });

  it("leaves a lease uncertain while it does not answer, and says when it is back whether it has kept it", async () => {
    await using store = openStore();
    const lease = await store.grantLease(2_000, signal);
    await put(store, "l/mine", "x", lease);
    etcd.process.signal("SIGSTOP");
    await until(lease.certain, (isCertain) => !isCertain, signal);
    expect(lease.lost.aborted).toBe(false);
    etcd.process.signal("SIGCONT");
    // etcd extends leases that it could not watch over, as after a start; but it may just have let this one end.
    const lost = new Promise((resolve) => {
      lease.lost.addEventListener("abort", resolve, { once: true });
    });
    await Promise.race([until(lease.certain, (isCertain) => isCertain, signal), lost]);
    const isKept = !lease.lost.aborted;
    expect((await store.get("l/mine", signal)) !== undefined).toBe(isKept);
    if (isKept) await put(store, "l/mine", "still", lease);
    else await expect(put(store, "l/late", "x", lease)).rejects.toMatchObject({ code: "ATOLL_STORE_LEASE_LOST" });
    await using next = await store.grantLease(2_000, signal);
    await put(store, "l/mine", "again", next);
    expect([next.lost.aborted, next.certain.current]).toEqual([false, true]);
  });

  it("keeps a leader's term through its own end, for longer than the leader's lease", async () => {
    await using store = openStore();
    const terms: number[] = [];
    await runAsLeader(store, { key: "leader", id: "candidate-1", ttlMs: 2_000, clock: systemClock, random: systemRandom, logger: silentLogger }, async ({ number, fence, certain }, termSignal) => {
      terms.push(number);
      await etcd.kill();
      await until(certain, (isCertain) => !isCertain, termSignal);
      await etcd.start();
      await until(certain, (isCertain) => isCertain, termSignal);
      expect((await store.commit({ conditions: [fence], writes: [] }, signal)).kind).toBe("committed");
    }, signal);
    expect(terms).toHaveLength(1);
  });

  it("hears of a lease that was revoked behind its back", async () => {
    await using store = openStore();
    const lease = await store.grantLease(2_000, signal);
    const lost = new Promise((resolve) => {
      lease.lost.addEventListener("abort", resolve, { once: true });
    });
    await withClient((client) => client.leaseClient.leaseRevoke({ ID: lease.id }));
    await expect(put(store, "l/x", "x", lease)).rejects.toMatchObject({ code: "ATOLL_STORE_LEASE_LOST" });
    await lost;
  });

  it("has a candidate lead that crashed and is back, long before its old lease ends", async () => {
    await using store = openStore();
    const old = await store.grantLease(600_000, signal);
    await put(store, "leader", "candidate-0 an-earlier-life", old);
    let terms = 0;
    const options = { key: "leader", id: "candidate-0", clock: systemClock, random: systemRandom, logger: silentLogger };
    await runAsLeader(store, options, async (term) => {
      terms++;
      expect((await store.commit({ conditions: [term.fence], writes: [] }, signal)).kind).toBe("committed");
    }, signal);
    expect(terms).toBe(1);
  });

  it("elects one leader, and another after the first has given up", async () => {
    await using store = openStore();
    const order: string[] = [];
    const stops = [new AbortController(), new AbortController()];
    const runs = stops.map((own, index) =>
      runAsLeader(
        store,
        { key: "leader", id: `candidate-${index}`, ttlMs: 2_000, clock: systemClock, random: systemRandom, logger: silentLogger },
        async (term, termSignal) => {
          order.push(`begin ${index}`);
          expect((await store.commit({ conditions: [term.fence], writes: [] }, signal)).kind).toBe("committed");
          stops[index]?.abort();
          if (!termSignal.aborted) throw new Error("the term goes on after the stop");
          order.push(`end ${index}`);
        },
        own.signal,
      ),
    );
    await Promise.all(runs);
    const first = order[0] === "begin 0" ? 0 : 1;
    expect(order).toEqual([`begin ${first}`, `end ${first}`, `begin ${1 - first}`, `end ${1 - first}`]);
  });
});
