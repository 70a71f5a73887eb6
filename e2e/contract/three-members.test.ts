import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Bus } from "#federation/bus/bus.ts";
import { connected, MessageReader } from "#federation/bus/bus-contract.ts";
import { openNatsBus } from "#federation/bus/nats-bus.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import { createEngineId, engineCommonName } from "#federation/model/engine-identity.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { EtcdInspection } from "#federation/store/etcd-inspection.ts";
import { openEtcdStore } from "#federation/store/etcd-store.ts";
import type { Store } from "#federation/store/store.ts";
import { BatchReader } from "#federation/store/store-contract.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { etcdArguments, type EngineTlsFiles } from "#services/cli/engines/etcd-args.ts";
import { clusterPlaneUser, globalPlaneUser, inboxPrefix, natsConfig } from "#services/cli/engines/nats-config.ts";
import { findFreePort, startEngine } from "#services/cli/engines/start-engine.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import { eventually } from "../harness/eventually.ts";
import { changedWords } from "../nemesis/etcd-beside.ts";
import { MemberLinks } from "../nemesis/member-links.ts";
import { findTestEngine, restartable, type RestartableEngine, type TestIdentity } from "./test-engines.ts";

const etcd = await findTestEngine("etcd");
const natsServer = await findTestEngine("nats-server");

const region = "eu-west";
const members = ["eu-1", "eu-2", "eu-3"] as const;
const address = "127.0.0.1";
const operationTimeoutMs = 1_000;
const never = new AbortController().signal;

/** Keys and certificates as `init` makes them: three members of one region, and a member of another. */
class Keys implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "atoll-members-"));
  readonly #keys: FederationKeys;

  constructor() {
    initFederation(this.directory, "fed.example", systemClock.nowMs());
    this.#keys = FederationKeys.load(this.directory);
    for (const member of members) this.#keys.writeEngine(region, member, [address], systemClock.nowMs());
    this.#keys.writeEngine("us-east", "us-1", [address], systemClock.nowMs());
  }

  get engineId(): string {
    return createEngineId(this.#keys.trustDomain, region);
  }

  planeId(...plane: readonly string[]): string {
    return createSpiffeId(this.#keys.trustDomain, "atoll", "plane", ...plane);
  }

  files(member: string): EngineTlsFiles {
    const engines = join(this.directory, "engines");
    return { certificate: join(engines, `${member}.pem`), privateKey: join(engines, `${member}.key`), ca: join(engines, "ca.pem") };
  }

  engine(member: string): TestIdentity {
    const { ca, certificate, privateKey } = this.files(member);
    return { caPem: readFileSync(ca, "utf8"), certificatePem: readFileSync(certificate, "utf8"), privateKeyPem: readFileSync(privateKey, "utf8") };
  }

  /** Answers on 127.0.0.1 like an engine, so that nothing but its names tells it apart. */
  plane(...path: readonly string[]): TestIdentity {
    const { privateKey, publicKey } = createKeyPair();
    const chain = this.#keys.issue({ spiffeId: createSpiffeId(this.#keys.trustDomain, "atoll", "plane", ...path), publicKey, nowMs: systemClock.nowMs(), commonName: `atoll-${path.at(-1) ?? ""}`, dnsNames: [], ipAddresses: [address] });
    const { certificateChainPem, privateKeyPem } = createX509Svid(chain, exportPrivateKeyPem(privateKey));
    return { caPem: createAnchors([this.#keys.bundle]).join(""), certificatePem: certificateChainPem, privateKeyPem };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Ends every engine, whatever became of it. */
async function stopAll(engines: readonly RestartableEngine[]): Promise<void> {
  await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
}

describe.skipIf(etcd === undefined)("an etcd of three members", () => {
  const keys = new Keys();
  let engines: readonly RestartableEngine[] = [];
  let peerPorts: readonly number[] = [];
  let links: MemberLinks;

  beforeAll(async () => {
    const clientPorts = [await findFreePort(address), await findFreePort(address), await findFreePort(address)];
    peerPorts = [await findFreePort(address), await findFreePort(address), await findFreePort(address)];
    links = await MemberLinks.lay(members.map((name, index) => ({ name, peerPort: peerPorts[index] ?? 0 })));
    const cluster = { token: "test", commonName: engineCommonName(region), members: members.map((name) => ({ name, address, port: links.portOf(name) })) };
    // None serves before two are there.
    engines = await Promise.all(
      members.map((name, index) => {
        const args = changedWords(etcdArguments({ name, dataDir: join(keys.directory, name), address, clientPort: clientPorts[index] ?? 0, peerPort: peerPorts[index] ?? 0, tls: keys.files(name), cluster }), {
          "--initial-advertise-peer-urls": `https://${address}:${links.portOf(name)}`,
        });
        return restartable(`https://${address}:${clientPorts[index]}`, () => startEngine({ name: "etcd", program: etcd ?? "", args, logFile: join(keys.directory, `${name}.log`), clock: systemClock }, never));
      }),
    );
  }, 120_000);

  afterAll(async () => {
    await stopAll(engines);
    await links[Symbol.asyncDispose]();
    keys[Symbol.dispose]();
  });

  it("takes writes and tells watchers of each while any one member is away, its leader among them", async () => {
    const identity = keys.plane("cluster", "shop-eu");
    await using store = openEtcdStore({ endpoints: engines.map(({ url }) => url), tls: () => identity, clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs });
    const stop = new AbortController();
    const watched = new BatchReader(store.watch("/", stop.signal));
    await watched.next();
    const acknowledged = new Set<string>();
    const write = async (key: string): Promise<boolean> => {
      const outcome = await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array() }] }, never).then(
        ({ kind }) => kind === "committed",
        () => false,
      );
      if (outcome) acknowledged.add(key);
      return outcome;
    };
    for (const [index, engine] of engines.entries()) {
      await engine.kill();
      let count = 0;
      for (let row = 0; row < 20; row = (await eventually("a write is taken", () => write(`/${index}/${count++}`), 30_000)) ? row + 1 : row);
      await engine.start();
    }
    const seen = new Set<string>();
    while ([...acknowledged].some((key) => !seen.has(key))) for (const event of (await watched.next()).events) seen.add(event.kind === "put" ? event.entry.key : "");
    expect(acknowledged.size).toBeGreaterThanOrEqual(60);
    const listed = new Set((await store.list("/", never)).entries.map(({ key }) => key));
    expect([...acknowledged].filter((key) => !listed.has(key))).toEqual([]);
    stop.abort();
  }, 180_000);

  it("tells watchers of each write while the member that they watch, and write to, is cut from the others and goes on to answer", async () => {
    const identity = keys.plane("cluster", "shop-eu");
    const endpoints = engines.map(({ url }) => url);
    await using store = openEtcdStore({ endpoints, tls: () => identity, clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs });
    const stop = new AbortController();
    const told = new Set<string>();
    const following = follow(store, told, stop.signal);
    const put = async (key: string): Promise<void> => {
      await eventually("a write is taken", async () => (await store.commit({ conditions: [], writes: [{ kind: "put", key, value: new Uint8Array() }] }, never)).kind === "committed", 30_000);
      await eventually(`${key} is told`, () => told.has(key), 60_000);
    };
    // The first may be told with all that was there before the stream of changes was opened.
    for (const key of ["/whole/1", "/whole/2"]) await put(key);
    links.split(members[0], new Map(members.map((name, index) => [name, engines[index]?.process.pid ?? 0])));
    await put("/split");
    const inspection = new EtcdInspection({ endpoints, tls: () => identity, keyPrefix: "/atoll", clock: systemClock });
    const cutOff = async (): Promise<string> => (await inspection.look()).flatMap((report) => (report.kind === "etcd" && report.hasLeader === false ? [report.address] : [])).join();
    await eventually("it is seen to be cut off", async () => (await cutOff()) === endpoints[0], 60_000);
    // As many as there are members fail at the one, and the next call goes to another all the same.
    await using other = openEtcdStore({ endpoints, tls: () => identity, clock: systemClock, random: systemRandom, logger: silentLogger, operationTimeoutMs: 5 * operationTimeoutMs });
    expect((await Promise.allSettled(endpoints.map(() => other.get("/split", never)))).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect((await other.get("/split", never))?.key).toBe("/split");
    links.heal();
    await eventually("all are one again", async () => (await cutOff()) === "", 60_000);
    stop.abort();
    await following;
  }, 180_000);

  it("has no peers but those of its region, whoever else the federation has certified", async () => {
    expect(await peerAnswer(keys.engine("eu-2"))).toBe(200);
    await expect(peerAnswer(keys.engine("us-1"))).rejects.toThrow();
    await expect(peerAnswer(keys.plane("cluster", "shop-eu"))).rejects.toThrow();
    // A plane speaks to it as a client, by the same certificate.
    expect(await peerAnswer(keys.plane("cluster", "shop-eu"), engines[0]?.url)).toBe(200);
  });

  async function follow(store: Store, told: Set<string>, signal: AbortSignal): Promise<void> {
    for await (const { events } of store.watch("/", signal)) for (const event of events) if (event.kind === "put") told.add(event.entry.key);
  }

  /** What a member tells whom it takes for a peer. */
  function peerAnswer(identity: TestIdentity, url = `https://${address}:${peerPorts[0]}`): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const asked = request(`${url}/version`, { ca: keys.engine("eu-1").caPem, cert: identity.certificatePem, key: identity.privateKeyPem, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.once("error", reject).end();
    });
  }
});

describe.skipIf(natsServer === undefined)("a region of three nats-servers", () => {
  const keys = new Keys();
  let engines: readonly RestartableEngine[] = [];
  let routePorts: readonly number[] = [];
  let links: MemberLinks;
  let stop: AbortController;

  beforeAll(async () => {
    const ports = [await findFreePort(address), await findFreePort(address), await findFreePort(address)];
    routePorts = [await findFreePort(address), await findFreePort(address), await findFreePort(address)];
    const users = [globalPlaneUser(keys.planeId("global")), clusterPlaneUser(keys.planeId("cluster", "shop-eu"), "shop-eu")];
    links = await MemberLinks.lay(members.map((name, index) => ({ name, peerPort: routePorts[index] ?? 0 })));
    engines = await Promise.all(
      members.map((name, index) => {
        const tls = keys.files(name);
        const config = join(keys.directory, `${name}.conf`);
        const routes = members.filter((other) => other !== name).map((other) => ({ address, port: links.portOf(other) }));
        const text = natsConfig({ name: `${name}-nats`, address, port: ports[index] ?? 0, tls, users, cluster: { name: region, address, port: routePorts[index] ?? 0, tls, spiffeId: keys.engineId, routes } });
        // Servers tell each other where the others are.
        writeFileSync(config, text.replace("  no_advertise: true", `  no_advertise: true\n  advertise: "${address}:${links.portOf(name)}"`));
        return restartable(`tls://${address}:${ports[index]}`, () => startEngine({ name: "nats-server", program: natsServer ?? "", args: ["-c", config], logFile: join(keys.directory, `${name}-nats.log`), clock: systemClock }, never));
      }),
    );
  }, 120_000);
  afterAll(async () => {
    await stopAll(engines);
    await links[Symbol.asyncDispose]();
    keys[Symbol.dispose]();
  });
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  it("carries messages between planes of different servers, and goes on with any one of them away", async () => {
    // Each has another server of the three as its first.
    await using global = openBus("global", keys.plane("global"), 0);
    await using cluster = openBus("shop-eu", keys.plane("cluster", "shop-eu"), 1);
    const down = new MessageReader(cluster.subscribe("atoll.down.shop-eu.>", stop.signal));
    let heard = "";
    void (async () => {
      for (;;) heard = new TextDecoder().decode((await down.next()).payload);
    })().catch(() => undefined);
    const passes = (word: string): Promise<boolean> =>
      eventually(`${word} arrives`, () => {
        global.publish("atoll.down.shop-eu.frame", new TextEncoder().encode(word));
        return heard === word;
      }, 30_000);
    await Promise.all([connected(global, stop.signal), connected(cluster, stop.signal)]);
    await passes("three");
    for (const [index, engine] of engines.entries()) {
      await engine.kill();
      await passes(`without ${index}`);
      await engine.start();
      await passes(`with ${index} again`);
    }
  }, 120_000);

  it("brings planes together that were on either side when one server was cut from the others and went on to serve", async () => {
    await using global = openBus("global", keys.plane("global"), 0);
    await using cluster = openBus("shop-eu", keys.plane("cluster", "shop-eu"), 1);
    await Promise.all([connected(global, stop.signal), connected(cluster, stop.signal)]);
    const heard = { global: 0, cluster: 0 };
    void count(global, "atoll.up.>", () => heard.global++);
    void count(cluster, "atoll.down.shop-eu.>", () => heard.cluster++);
    const bothHear = async (): Promise<void> => {
      const before = { ...heard };
      await eventually("both hear each other", () => {
        global.publish("atoll.down.shop-eu.heartbeat", new Uint8Array());
        cluster.publish("atoll.up.shop-eu.heartbeat", new Uint8Array());
        return heard.global > before.global && heard.cluster > before.cluster;
      }, 120_000);
    };
    await bothHear();
    links.split(members[0], new Map(members.map((name, index) => [name, engines[index]?.process.pid ?? 0])));
    await bothHear();
    links.heal();
    await bothHear();
  }, 300_000);

  async function count(bus: Bus, pattern: string, onMessage: () => void): Promise<void> {
    for await (const _ of bus.subscribe(pattern, stop.signal)) onMessage();
  }

  it("has no routes but to servers of its region, whoever else the federation has certified", async () => {
    expect(await routeAnswer(keys.engine("eu-2"))).toContain("PONG");
    expect(await routeAnswer(keys.engine("us-1"))).toContain("Authorization Violation");
    expect(await routeAnswer(keys.plane("cluster", "shop-eu"))).toContain("Authorization Violation");
  });

  function openBus(plane: string, identity: TestIdentity, first: number): Bus {
    const servers = [...engines.slice(first), ...engines.slice(0, first)].map(({ url }) => url);
    return openNatsBus({ servers, name: plane, tls: () => identity, inboxPrefix: inboxPrefix(plane), clock: systemClock, random: systemRandom, logger: silentLogger });
  }

  /** What a server says to a new route, which proves itself before a word is said, until it answers a ping or hangs up. */
  function routeAnswer(identity: TestIdentity): Promise<string> {
    return new Promise((resolve) => {
      let said = "";
      const route = connect({ host: address, port: routePorts[0] ?? 0, ca: keys.engine("eu-1").caPem, cert: identity.certificatePem, key: identity.privateKeyPem });
      const end = (): void => {
        route.destroy();
        resolve(said);
      };
      route.once("secureConnect", () => route.write('CONNECT {"verbose":false,"pedantic":false,"tls_required":true,"name":"stranger","cluster":"eu-west"}\r\nPING\r\n'));
      route.on("data", (part: Buffer) => {
        said += part.toString();
        if (/PONG|-ERR/.test(said)) end();
      });
      route.once("error", end);
      route.once("close", end);
    });
  }
});
