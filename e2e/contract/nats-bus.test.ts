import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Bus } from "#federation/bus/bus.ts";
import { connected, describeBusContract, MessageReader, settleInterest } from "#federation/bus/bus-contract.ts";
import type { BusObserver } from "#federation/bus/bus-observer.ts";
import { openNatsBus } from "#federation/bus/nats-bus.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { until } from "#federation/runtime/watched.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { clusterPlaneUser, globalPlaneUser, inboxPrefix, type NatsUser } from "#services/cli/engines/nats-config.ts";
import { findFreePort } from "#services/cli/engines/start-engine.ts";
import { findTestEngine, startTestNats, TestAuthority, type RestartableEngine, type TestIdentity } from "./test-engines.ts";

const program = await findTestEngine("nats-server");

const idOf = (plane: string): string => `spiffe://demo.atoll/atoll/plane/${plane === "global" ? "global" : `cluster/${plane}`}`;
const everything: NatsUser = { spiffeId: idOf("tester"), publish: [">"], subscribe: [">"] };

function openBus(url: string, identity: TestIdentity, plane: string, observer?: BusObserver): Bus {
  return openNatsBus({
    servers: [url],
    name: plane,
    tls: () => identity,
    inboxPrefix: inboxPrefix(plane),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...(observer === undefined ? {} : { observer }),
  });
}

describe.skipIf(program === undefined)("a real nats-server", () => {
  let authority: TestAuthority;
  let server: RestartableEngine;
  let stop: AbortController;
  const identities = new Map<string, TestIdentity>();
  const identity = (plane: string): TestIdentity => {
    const known = identities.get(plane);
    if (known === undefined) throw new Error(`no identity for ${plane}`);
    return known;
  };
  const planes = ["tester", "global", "shop-eu", "shop-us", "stranger"];

  beforeAll(async () => {
    authority = new TestAuthority();
    for (const plane of planes) identities.set(plane, authority.issue(plane, [`URI:${idOf(plane)}`]));
    server = await startTestNats(program ?? "", authority, "nats", {
      users: [everything, globalPlaneUser(idOf("global")), clusterPlaneUser(idOf("shop-eu"), "shop-eu"), clusterPlaneUser(idOf("shop-us"), "shop-us")],
    });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    authority[Symbol.dispose]();
  });
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  it("is reached by its name, against which its certificate is checked, and again after its end", async () => {
    await using bus = openBus(server.url.replace("127.0.0.1", "localhost"), identity("tester"), "tester");
    await connected(bus, stop.signal);
    await server.kill();
    await until(bus.state, (state) => state === "disconnected", stop.signal);
    await server.start();
    await connected(bus, stop.signal);
  });

  describeBusContract("nats over mutual TLS", () =>
    Promise.resolve({
      open: (observer) => Promise.resolve(openBus(server.url, identity("tester"), "tester", observer)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  );

  describe("permissions of a plane", () => {
    it("let frames and requests go between the global plane and each cluster", async () => {
      await using global = openBus(server.url, identity("global"), "global");
      await using eu = openBus(server.url, identity("shop-eu"), "shop-eu");
      await Promise.all([connected(global, stop.signal), connected(eu, stop.signal)]);
      const up = new MessageReader(global.subscribe("atoll.up.>", stop.signal));
      const down = new MessageReader(eu.subscribe("atoll.down.shop-eu.>", stop.signal));
      const serveFetch = (async () => {
        for (let turn = 0; turn < 2; turn++) {
          const message = await down.next();
          message.reply(new TextEncoder().encode(`answer to ${message.subject}`));
        }
      })();
      const fetchDown = (): Promise<Uint8Array> => global.request("atoll.down.shop-eu.fetch", new Uint8Array(), 10_000, stop.signal);
      const firstAnswer = await untilAnswered(fetchDown);
      expect(new TextDecoder().decode(firstAnswer)).toBe("answer to atoll.down.shop-eu.fetch");
      const upward = untilAnswered(() => eu.request("atoll.up.shop-eu.fetch", new Uint8Array(), 10_000, stop.signal));
      (await up.next()).reply(new TextEncoder().encode("from the global plane"));
      expect(new TextDecoder().decode(await upward)).toBe("from the global plane");
      await fetchDown();
      await serveFetch;
    });

    it("refuse another cluster's subjects in both directions, and the inbox of another", async () => {
      const refused = { count: 0 };
      await using global = openBus(server.url, identity("global"), "global");
      await using eu = openBus(server.url, identity("shop-eu"), "shop-eu", { dropped: (count) => void (refused.count += count), reconnected() {} });
      await Promise.all([connected(global, stop.signal), connected(eu, stop.signal)]);
      for (const pattern of ["atoll.down.shop-us.>", "atoll.up.>", `${inboxPrefix("shop-us")}.>`, ">"]) {
        await expect(new MessageReader(eu.subscribe(pattern, stop.signal)).next(), pattern).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
      }
      const heard = new MessageReader(global.subscribe("atoll.up.>", stop.signal));
      const before = refused.count;
      for (const subject of ["atoll.up.shop-us.frame", "atoll.down.shop-eu.frame", `${inboxPrefix("global")}.x`]) eu.publish(subject, new Uint8Array());
      // In order behind what was refused, so its arrival says that nothing else came before.
      do {
        eu.publish("atoll.up.shop-eu.frame", new Uint8Array());
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      } while (refused.count - before < 3);
      expect((await heard.next()).subject).toBe("atoll.up.shop-eu.frame");
      expect(refused.count - before).toBe(3);
    });

    it("let nobody in whose identity has none, or who was issued by another authority", async () => {
      using other = new TestAuthority("other");
      const forged = { ...other.issue("forged", [`URI:${idOf("global")}`]), caPem: identity("global").caPem };
      await using global = openBus(server.url, identity("global"), "global");
      await connected(global, stop.signal);
      for (const intruder of [identity("stranger"), forged]) {
        await using bus = openBus(server.url, intruder, "global");
        for (let turn = 0; turn < 30; turn++) {
          await global.request("atoll.down.none", new Uint8Array(), 1_000, stop.signal).catch(() => undefined);
          expect(bus.state.current).toBe("disconnected");
        }
      }
    });

    it("do not replace the check of the server: another authority's server is not spoken to", async () => {
      using other = new TestAuthority("other");
      const misled = { ...identity("tester"), caPem: other.issue("x", ["DNS:x"]).caPem };
      await using tester = openBus(server.url, identity("tester"), "tester");
      await using bus = openBus(server.url, misled, "tester");
      await connected(tester, stop.signal);
      for (let turn = 0; turn < 30; turn++) {
        await tester.request("nobody", new Uint8Array(), 1_000, stop.signal).catch(() => undefined);
        expect(bus.state.current).toBe("disconnected");
      }
    });
  });

  it("may be killed: the bus says so, drops and counts, and comes back with its subscriptions", async () => {
    let drops = 0;
    let returns = 0;
    await using a = openBus(server.url, identity("tester"), "tester", { dropped: (count) => void (drops += count), reconnected: () => void returns++ });
    await using b = openBus(server.url, identity("tester"), "tester");
    await Promise.all([connected(a, stop.signal), connected(b, stop.signal)]);
    const reader = new MessageReader(b.subscribe("k.*", stop.signal));
    await settleInterest(a, b, stop.signal);
    const unanswered = a.request("k.silent", new Uint8Array(), 3_600_000, stop.signal);
    const refused = expect(unanswered).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
    await reader.next();
    await server.kill();
    await refused;
    for await (const state of a.state.changes(stop.signal)) if (state === "disconnected") break;
    a.publish("k.lost", new Uint8Array());
    expect(drops).toBe(1);
    await server.start();
    await Promise.all([connected(a, stop.signal), connected(b, stop.signal)]);
    await settleInterest(a, b, stop.signal);
    a.publish("k.after", new Uint8Array());
    expect((await reader.next()).subject).toBe("k.after");
    expect(returns).toBe(1);
  });

  it("is shown at each connection the certificate that there is then", async () => {
    const first = identity("tester");
    const second = authority.issue("tester-renewed", [`URI:${idOf("tester")}`]);
    let current = first;
    const shown = new Set<string>();
    await using bus = openNatsBus({ servers: [server.url], name: "tester", tls: () => (shown.add(current.certificatePem), current), inboxPrefix: inboxPrefix("tester"), clock: systemClock, random: systemRandom, logger: silentLogger });
    await connected(bus, stop.signal);
    expect([...shown]).toEqual([first.certificatePem]);
    current = second;
    await server.kill();
    for await (const state of bus.state.changes(stop.signal)) if (state === "disconnected") break;
    await server.start();
    await connected(bus, stop.signal);
    expect([...shown]).toEqual([first.certificatePem, second.certificatePem]);
  });

  it("is waited for when it is not there at first", async () => {
    await server.kill();
    await using bus = openBus(server.url, identity("tester"), "tester");
    const reader = new MessageReader(bus.subscribe("k.early", stop.signal));
    await server.start();
    await connected(bus, stop.signal);
    bus.publish("k.early", new Uint8Array());
    expect((await reader.next()).subject).toBe("k.early");
  });

  it("of another region gets what is published here, over gateways with mutual TLS", async () => {
    const users = [globalPlaneUser(idOf("global")), clusterPlaneUser(idOf("shop-eu"), "shop-eu")];
    const regions = [
      { region: "eu-west", address: "127.0.0.1", port: await findFreePort("127.0.0.1") },
      { region: "us-east", address: "127.0.0.1", port: await findFreePort("127.0.0.1") },
    ];
    const start = ({ region, address, port }: (typeof regions)[number]): Promise<RestartableEngine> => {
      const tls = authority.issueFiles(`gateway-${region}`, ["IP:127.0.0.1"]);
      return startTestNats(program ?? "", authority, region, { users, gateway: { region, address, port, tls, peers: regions } });
    };
    const [west, east] = await Promise.all(regions.map(start));
    if (west === undefined || east === undefined) throw new Error("two regions were asked for");
    await using _west = west;
    await using _east = east;
    await using global = openBus(east.url, identity("global"), "global");
    await using eu = openBus(west.url, identity("shop-eu"), "shop-eu");
    await Promise.all([connected(global, stop.signal), connected(eu, stop.signal)]);
    const up = new MessageReader(global.subscribe("atoll.up.>", stop.signal));
    const down = new MessageReader(eu.subscribe("atoll.down.shop-eu.>", stop.signal));
    const serving = down.next().then((message) => message.reply(new TextEncoder().encode("across")));
    const answer = await untilAnswered(() => global.request("atoll.down.shop-eu.fetch", new Uint8Array(), 10_000, stop.signal));
    await serving;
    expect(new TextDecoder().decode(answer)).toBe("across");
    eu.publish("atoll.up.shop-eu.frame", new TextEncoder().encode("up"));
    expect((await up.next()).subject).toBe("atoll.up.shop-eu.frame");
  });
});

/** Asks until somebody listens: interest takes its time to reach the server, and the servers each other. */
async function untilAnswered(ask: () => Promise<Uint8Array>): Promise<Uint8Array> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ATOLL_BUS_UNAVAILABLE")) throw error;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }
}
