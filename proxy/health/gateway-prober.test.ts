import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterId, RegionId, ServiceHost, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { GatewayAddress, ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { unreachedMsMin } from "#federation/model/unreached-cluster.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { emptySnapshot } from "../control/snapshot-builder.ts";
import { plainConnector } from "../upstream/connector.ts";
import { failingConnector } from "../upstream/own-fault-fixture.ts";
import { PlaceHealth } from "../upstream/place-health.ts";
import { GatewayProber } from "./gateway-prober.ts";
import { LocalStall } from "./local-stall.ts";
import { drainWord } from "./ping-words.ts";

// Time is the test's own; sockets are real. Echo latency is virtual: the server answers when the test lets it.

const cluster = "shop-us" as ClusterId;
const host = "catalog.web.svc.shop.example" as ServiceHost;

class EchoGateway {
  readonly server: Server;
  readonly sockets = new Set<Socket>();
  silent = false;
  received = 0;

  constructor() {
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
      socket.on("end", () => socket.end());
      socket.on("data", (bytes: Buffer) => {
        this.received += bytes.length;
        if (!this.silent) socket.write(bytes);
      });
    });
  }

  async open(port = 0): Promise<GatewayAddress> {
    await new Promise<void>((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    return { address: "127.0.0.1", port: (this.server.address() as AddressInfo).port };
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

let clock = new VirtualClock();
let places = new PlaceHealth(clock, { region: "eu-west" as RegionId, cluster: "shop-eu" as ClusterId, roundTripMs: new Map() });
let gateway = new EchoGateway();
let address: GatewayAddress = { address: "", port: 0 };
let stall = new LocalStall(clock);
let doubted: string[] = [];
const leaving = new Set<string>();
let inFlight = 0;
let prober: GatewayProber | undefined;

beforeEach(async () => {
  clock = new VirtualClock();
  places = new PlaceHealth(clock, { region: "eu-west" as RegionId, cluster: "shop-eu" as ClusterId, roundTripMs: new Map() });
  gateway = new EchoGateway();
  address = await gateway.open();
  stall = new LocalStall(clock);
  doubted = [];
  leaving.clear();
  inFlight = 0;
});
afterEach(() => {
  prober?.close();
  gateway.close();
});

function snapshotOf(gateways: readonly GatewayAddress[]): Snapshot {
  return { ...emptySnapshot, services: new Map([[host, viewOf(gateways)]]) };
}

function viewOf(gateways: readonly GatewayAddress[]): ServiceView {
  return {
    ref: { namespace: "web", name: "catalog", trustDomain: "shop.example" as TrustDomainName },
    host,
    aliases: [],
    ports: [],
    serverIdentities: [],
    policy: defaultTrafficPolicy,
    places: [
      {
        kind: "remote",
        cluster,
        region: "us-east" as RegionId,
        gateways,
        gatewayIdentity: "spiffe://shop.example/atoll/gateway/shop-us" as SpiffeId,
        endpointsReady: 1,
        endpointsTotal: 1,
        asOfMs: clock.nowMs(),
      },
    ],
  };
}

function open(gateways: readonly GatewayAddress[] = [address], connector = plainConnector): GatewayProber {
  const target = { ...address, sni: "x", identities: [] };
  const opened = new GatewayProber({
    // The ping protocol itself is the same without TLS, which the whole-proxy test adds.
    connector,
    pools: {
      pools: () => [{ target, load: { inFlight, leaving: leaving.has(`${target.address}:${target.port}`) }, pingsInBand: false }],
      doubtAddress: (to, port) => void doubted.push(`${to}:${port}`),
      drainAddress: (to, port) => void leaving.add(`${to}:${port}`),
      restoreAddress: (to, port) => void leaving.delete(`${to}:${port}`),
    },
    places,
    clock,
    stall,
    random: createSeededRandom(1),
    logger: silentLogger,
  });
  opened.follow(snapshotOf(gateways));
  prober = opened;
  return opened;
}

const status = () => prober?.gateways[0];
const lowered = (gateways = [address]): boolean => {
  const view = viewOf(gateways);
  const [place] = view.places;
  return place !== undefined && places.conditionOf(view, place).lowered;
};

/** Lets real sockets deliver, at a standstill of virtual time. */
async function settle(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

async function firstPong(): Promise<void> {
  await settle(() => status()?.roundTripMs !== undefined);
}

describe("GatewayProber", () => {
  it("holds nothing against a gateway that it has no descriptors to ask", async () => {
    let asked = 0;
    open([address], failingConnector(plainConnector, "EMFILE", () => ++asked <= 3));
    while (status()?.roundTripMs === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      await clock.advance(10);
    }
    expect(asked).toBe(4);
    expect(lowered()).toBe(false);
    expect(status()).toMatchObject({ answers: true, unanswered: 0 });
  });

  it("measures the round trip and gives it to the viewpoint", async () => {
    open();
    await firstPong();
    expect(status()).toMatchObject({ answers: true, roundTripMs: 0, pings: 1 });
    expect(places.viewpoint.roundTripMs.get(cluster)).toBe(0);
    gateway.silent = true;
    await clock.advance(1_000);
    await settle(() => gateway.received === 16);
    await clock.advance(40);
    for (const socket of gateway.sockets) socket.write("01234567");
    await settle(() => (status()?.roundTripMs ?? 0) > 0);
    expect(status()?.roundTripMs).toBeCloseTo(5, 5);
    expect(places.viewpoint.roundTripMs.get(cluster)).toBeCloseTo(5, 5);
  });

  it("pings once a second when idle and ten times a second while requests are in flight", async () => {
    open();
    await firstPong();
    for (let step = 0; step < 30; step++) await clock.advance(100);
    const idle = status()?.pings ?? 0;
    expect(idle).toBeGreaterThanOrEqual(3);
    expect(idle).toBeLessThanOrEqual(5);
    inFlight = 5;
    for (let step = 0; step < 30; step++) {
      const before = gateway.received;
      await clock.advance(100);
      await settle(() => gateway.received > before || gateway.received === (status()?.pings ?? 0) * 8);
    }
    expect((status()?.pings ?? 0) - idle).toBeGreaterThanOrEqual(20);
  });

  it("notices a black hole within 3 RTT + 350 ms, doubts what leads there and lowers its places", async () => {
    open();
    await firstPong();
    inFlight = 1;
    await clock.advance(1_000);
    await settle(() => gateway.received === (status()?.pings ?? 0) * 8);
    gateway.silent = true;
    const startMs = clock.monotonicMs();
    for (let step = 0; doubted.length === 0 && step < 100; step++) await clock.advance(10);
    expect(clock.monotonicMs() - startMs).toBeLessThanOrEqual(350 + 20);
    expect(doubted).toEqual([`${address.address}:${address.port}`]);
    expect(status()?.answers).toBe(false);
    expect(lowered()).toBe(true);
  });

  it("lets the place return after a pong, a hold-down and no earlier", async () => {
    open();
    await firstPong();
    gateway.silent = true;
    for (let step = 0; doubted.length === 0 && step < 200; step++) await clock.advance(20);
    expect(lowered()).toBe(true);
    gateway.silent = false;
    for (let step = 0; status()?.answers !== true && step < 200; step++) {
      await clock.advance(20);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(status()?.answers).toBe(true);
    expect(lowered()).toBe(true);
    for (let step = 0; lowered() && step < 200; step++) await clock.advance(100);
    expect(lowered()).toBe(false);
  });

  it("says which clusters it reaches no gateway of once that has lasted, and no more when one answers", async () => {
    open();
    await firstPong();
    const untilSilent = async (): Promise<void> => {
      for (let step = 0; status()?.answers === true && step < 500; step++) {
        await clock.advance(10);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    gateway.silent = true;
    await untilSilent();
    expect(prober?.unreached).toEqual([]);
    await clock.advance(unreachedMsMin);
    expect(prober?.unreached).toEqual([{ cluster, forMs: expect.any(Number) as number }]);
    expect(prober?.unreached[0]?.forMs).toBeGreaterThanOrEqual(unreachedMsMin);
    gateway.silent = false;
    for (let step = 0; status()?.answers !== true && step < 500; step++) {
      await clock.advance(20);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(prober?.unreached).toEqual([]);
  });

  it("reaches a cluster as long as one of its gateways answers", async () => {
    const other = new EchoGateway();
    const otherAddress = await other.open();
    try {
      open([address, otherAddress]);
      await settle(() => prober?.gateways.every(({ roundTripMs }) => roundTripMs !== undefined) === true);
      gateway.silent = true;
      for (let step = 0; status()?.answers === true && step < 500; step++) {
        await clock.advance(10);
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (let step = 0; step < 100; step++) {
        await clock.advance(100);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(prober?.unreached).toEqual([]);
    } finally {
      other.close();
    }
  });

  it("doubts after a reset, but not when a gateway drains and then refuses", async () => {
    open();
    await firstPong();
    for (const socket of gateway.sockets) socket.resetAndDestroy();
    await settle(() => doubted.length === 1);
    expect(lowered()).toBe(true);

    prober?.close();
    doubted = [];
    open();
    await firstPong();
    gateway.server.close();
    for (const socket of gateway.sockets) socket.end();
    for (let step = 0; status()?.answers !== false && step < 500; step++) {
      await clock.advance(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(status()?.answers).toBe(false);
    expect(doubted).toEqual([]);
  });

  it("sends what is new elsewhere when a gateway says that it drains, breaks nothing, and comes back without a hold-down", async () => {
    open();
    await firstPong();
    inFlight = 1;
    const { port } = address;
    for (const socket of gateway.sockets) socket.write(drainWord);
    await settle(() => status()?.leaving === true);
    expect(status()?.answers).toBe(true);
    expect(leaving).toEqual(new Set([`127.0.0.1:${port}`]));
    expect(lowered()).toBe(true);
    // It goes on answering pings, which makes it no less a gateway that leaves.
    const { pings = 0 } = status() ?? {};
    await clock.advance(100);
    await settle(() => gateway.received === (status()?.pings ?? 0) * 8 && (status()?.pings ?? 0) > pings);
    await clock.advance(20);
    expect(status()?.leaving).toBe(true);

    // It ends, and for a while nobody listens there: no outage, since it was said.
    gateway.close();
    for (let step = 0; step < 40; step++) {
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(status()).toMatchObject({ answers: false, leaving: true, unanswered: 0 });
    expect(doubted).toEqual([]);

    gateway = new EchoGateway();
    await gateway.open(port);
    for (let step = 0; status()?.leaving === true && step < 500; step++) {
      await clock.advance(20);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(status()).toMatchObject({ answers: true, leaving: false });
    expect(leaving).toEqual(new Set());
    expect(lowered()).toBe(false);
  });

  it("still finds a gateway that falls silent while it drains", async () => {
    open();
    await firstPong();
    inFlight = 1;
    for (const socket of gateway.sockets) socket.write(drainWord);
    await settle(() => status()?.leaving === true);
    gateway.silent = true;
    for (let step = 0; doubted.length === 0 && step < 100; step++) await clock.advance(20);
    expect(doubted).toEqual([`${address.address}:${address.port}`]);
  });

  it("leaves one of two gateways without lowering their place", async () => {
    const second = new EchoGateway();
    const other = await second.open();
    open([address, other]);
    await settle(() => prober?.gateways.every((each) => each.roundTripMs !== undefined) === true);
    for (const socket of gateway.sockets) socket.write(drainWord);
    await settle(() => status()?.leaving === true);
    expect(leaving.size).toBe(1);
    expect(lowered([address, other])).toBe(false);
    second.close();
  });

  it("keeps a cluster up while one of its gateways answers", async () => {
    const second = new EchoGateway();
    const other = await second.open();
    open([address, other]);
    await settle(() => prober?.gateways.every((each) => each.roundTripMs !== undefined) === true);
    gateway.silent = true;
    for (let step = 0; doubted.length === 0 && step < 200; step++) {
      await clock.advance(20);
      await settle(() => second.received === (prober?.gateways[1]?.pings ?? 0) * 8);
    }
    expect(doubted).toEqual([`${address.address}:${address.port}`]);
    expect(lowered([address, other])).toBe(false);
    second.close();
  });

  it("forgets gateways that no snapshot names", async () => {
    const opened = open();
    await firstPong();
    opened.follow(emptySnapshot);
    expect(opened.gateways).toEqual([]);
    await settle(() => gateway.sockets.size === 0);
  });
});
