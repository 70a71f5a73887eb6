import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectTcp, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { connect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAnchors } from "#federation/identity/anchors.ts";
import { acceptExactly, createClientTlsOptions, createServerTlsOptions } from "#federation/identity/tls-options.ts";
import type { RegionId, ServiceHost } from "#federation/model/names.ts";
import type { EndpointView, GatewayRoute } from "#federation/model/snapshot.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { unprovedGraceMs } from "#federation/runtime/unproved-connections.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { LocalStall } from "../health/local-stall.ts";
import { drainWord } from "../health/ping-words.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { defaultGatewayLimits, GatewayListener, type GatewayLimits } from "./gateway-listener.ts";
import { createGatewayStats } from "./gateway-stats.ts";
import { PingResponder } from "./ping-responder.ts";

const shop = createTestTrustDomain("shop.example");
const serverSvid = shop.svid("/ns/web/sa/catalog");
const clientSvid = shop.svid("/ns/web/sa/storefront");
const gatewaySvid = shop.svid("/atoll/gateway/shop-eu");
const anchors = createAnchors([shop.bundle]);
const sni = "p80.catalog.web.svc.shop.example";
const pingSni = "gateway.shop-eu.atoll.shop.example";

let stats = createGatewayStats();
let clock = new VirtualClock();
const cleanups: (() => Promise<void> | void)[] = [];

beforeEach(() => {
  stats = createGatewayStats();
  clock = new VirtualClock();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function endpoint(port: number, readiness: EndpointView["readiness"] = "ready"): EndpointView {
  return { id: `e${port}`, address: "127.0.0.1", port, locality: { region: "eu-west" as RegionId }, weight: 1, readiness };
}

async function openGateway(endpoints: readonly EndpointView[], limits: Partial<GatewayLimits> = {}): Promise<GatewayListener> {
  const routes = new Map<string, GatewayRoute>([[sni, { sni, host: "catalog.web.svc.shop.example" as ServiceHost, endpoints }]]);
  const stall = new LocalStall(clock);
  const responder = new PingResponder(gatewaySvid, { stats, stall });
  const gateway = await GatewayListener.open({
    address: "127.0.0.1",
    port: 0,
    routes: () => routes,
    ping: { sni: pingSni, responder },
    stats,
    clock,
    stall,
    random: createSeededRandom(7),
    logger: silentLogger,
    limits: { ...defaultGatewayLimits, ...limits },
  });
  cleanups.push(async () => {
    const drained = gateway.drain(0);
    await clock.advance(1);
    await drained;
  });
  return gateway;
}

async function listen(server: Server): Promise<number> {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A mutual TLS server that echoes, behind the gateway. */
function openEcho(onSocket?: (socket: TLSSocket) => void): Promise<number> {
  const server = createTlsServer(createServerTlsOptions({ svid: serverSvid, anchors }, { clients: "required" }), (socket) => {
    socket.on("error", () => {});
    if (onSocket === undefined) socket.pipe(socket);
    else onSocket(socket);
  });
  return listen(server);
}

function dial(port: number, servername: string, accept = serverSvid.spiffeId): TLSSocket {
  const socket = connect({ ...createClientTlsOptions({ svid: clientSvid, anchors, servername, accept: acceptExactly([accept]) }), host: "127.0.0.1", port });
  cleanups.push(() => void socket.destroy());
  return socket;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Connections of this process to or from one of the gateway's sides whose kernel timer is the keepalive's, after proc(5)'s table of TCP. */
function keepAliveTimers([near, far]: readonly [near: number, far: number]): number {
  const keepAlive = "02";
  const rows = readFileSync("/proc/net/tcp", "utf8").trim().split("\n").slice(1).map((line) => line.trim().split(/\s+/));
  const portOf = (address = ""): number => Number.parseInt(address.split(":")[1] ?? "", 16);
  return rows.filter(([, local, remote, , , timer]) => (portOf(local) === near || portOf(remote) === far) && timer?.startsWith(`${keepAlive}:`) === true).length;
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe("GatewayListener", () => {
  it("passes mutual TLS through end to end, megabytes both ways", async () => {
    const gateway = await openGateway([endpoint(await openEcho())]);
    const socket = dial(gateway.port, sni.toUpperCase());
    const sent = Buffer.alloc(3_000_000, "atoll");
    socket.end(sent);
    expect((await readAll(socket)).equals(sent)).toBe(true);
    expect(stats.bytesIn).toBeGreaterThan(sent.length);
    expect(stats.bytesOut).toBeGreaterThan(sent.length);
    expect(stats.refused.size).toBe(0);
  });

  it("closes a name that is not exported, and counts it", async () => {
    const gateway = await openGateway([endpoint(await openEcho())]);
    for (const name of ["p80.ledger.core.svc.shop.example", "p81.catalog.web.svc.shop.example", "localhost"]) {
      const [error] = (await once(dial(gateway.port, name), "error")) as [NodeJS.ErrnoException];
      expect(error.code).toBe("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    }
    expect(stats.refused.get("unknownName")).toBe(3);
  });

  it("tries another endpoint once when the first cannot be reached", async () => {
    const live = await openEcho();
    const gateway = await openGateway([endpoint(await closedPort()), endpoint(live)]);
    for (let round = 0; round < 8; round++) {
      const socket = dial(gateway.port, sni);
      socket.end("hello");
      expect((await readAll(socket)).toString()).toBe("hello");
    }
    expect(stats.connectFailures).toBe(stats.retried);
    expect(stats.retried).toBeGreaterThan(0);
  });

  it("resets the caller when nothing can be reached or nothing is ready", async () => {
    const unreachable = await openGateway([endpoint(await closedPort())]);
    expect(await once(dial(unreachable.port, sni), "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(stats.refused.get("connectFailed")).toBe(1);
    const unready = await openGateway([endpoint(await openEcho(), "notReady")]);
    expect(await once(dial(unready.port, sni), "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(stats.refused.get("noEndpoint")).toBe(1);
  });

  it("leaves a connection alone that is quiet for ten minutes, and lets the kernel ask whether its ends are there", async () => {
    const port = await openEcho();
    const gateway = await openGateway([endpoint(port)]);
    const socket = dial(gateway.port, sni);
    await once(socket, "secureConnect");
    socket.write("before");
    await once(socket, "data");
    await clock.advance(600_000);
    socket.write("after");
    expect(String((await once(socket, "data"))[0])).toBe("after");
    expect(stats.resets).toBe(0);
    // The timer of a connection whose last bytes are not acknowledged yet is another one: for a moment.
    while (process.platform === "linux" && keepAliveTimers([gateway.port, port]) < 2) await new Promise((resolve) => setImmediate(resolve));
  });

  it("passes a reset of the server on as a reset", async () => {
    const port = await listen(createServer((socket) => socket.once("data", () => socket.resetAndDestroy())));
    const gateway = await openGateway([endpoint(port)]);
    expect(await once(dial(gateway.port, sni), "error")).toMatchObject([{ code: "ECONNRESET" }]);
  });

  it("gives up on a ClientHello that does not end", async () => {
    const gateway = await openGateway([endpoint(await openEcho())]);
    const socket = connectTcp(gateway.port, "127.0.0.1");
    socket.write(Buffer.of(22, 3, 1, 0, 100, 1));
    const broken = once(socket, "error");
    while (stats.active === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(defaultGatewayLimits.helloMs);
    expect(await broken).toMatchObject([{ code: "ECONNRESET" }]);
    expect(stats.refused.get("helloTimeout")).toBe(1);
  });

  it("refuses connections beyond its bound", async () => {
    const gateway = await openGateway([endpoint(await openEcho())], { connectionsMax: 1 });
    const first = dial(gateway.port, sni);
    await once(first, "secureConnect");
    expect(await once(dial(gateway.port, sni), "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(stats.refused.get("tooManyConnections")).toBe(1);
  });

  it("ends the oldest of those that have not said what they want, after some time, for others that come when it is full", async () => {
    const gateway = await openGateway([endpoint(await openEcho())], { connectionsMax: 2 });
    const silent = [connectTcp(gateway.port, "127.0.0.1"), connectTcp(gateway.port, "127.0.0.1")];
    const broken = Promise.all(silent.map((socket) => new Promise<void>((resolve) => socket.on("error", () => undefined).once("close", () => resolve()))));
    while (stats.active < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(await once(dial(gateway.port, sni), "error")).toMatchObject([{ code: "ECONNRESET" }]);
    await clock.advance(unprovedGraceMs);
    const callers = [dial(gateway.port, sni), dial(gateway.port, sni)];
    for (const caller of callers) await once(caller, "secureConnect");
    await broken;
    expect(await once(dial(gateway.port, sni), "error"), "who is served gives way to nobody").toMatchObject([{ code: "ECONNRESET" }]);
  });

  it("echoes pings under its own identity, in whole nonces", async () => {
    const gateway = await openGateway([]);
    const socket = dial(gateway.port, pingSni, gatewaySvid.spiffeId);
    await once(socket, "secureConnect");
    socket.write("01234567abc");
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(first.toString()).toBe("01234567");
    socket.write("defgh");
    const [second] = (await once(socket, "data")) as [Buffer];
    expect(second.toString()).toBe("abcdefgh");
    expect(stats.pings).toBe(2);
    expect(stats.pingConnections).toBe(1);
  });

  it("drains: accepts nothing new, lets a connection finish, resets what stays", async () => {
    const gateway = await openGateway([endpoint(await openEcho())]);
    const socket = dial(gateway.port, sni);
    await once(socket, "secureConnect");
    const { port } = gateway;
    const drained = gateway.drain(5_000);
    socket.write("still");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toBe("still");
    expect(await once(connectTcp(port, "127.0.0.1"), "error")).toMatchObject([{ code: "ECONNREFUSED" }]);
    const broken = once(socket, "error");
    await clock.advance(5_000);
    expect(await broken).toMatchObject([{ code: "ECONNRESET" }]);
    await drained;
  });

  it("says that it drains to every prober, between whole echoes, before it closes its port", async () => {
    const gateway = await openGateway([endpoint(await openEcho())]);
    const { port } = gateway;
    const prober = dial(port, pingSni, gatewaySvid.spiffeId);
    await once(prober, "secureConnect");
    prober.write("01234567abc");
    expect(String((await once(prober, "data"))[0])).toBe("01234567");
    const drained = gateway.drain(5_000);
    expect((await once(prober, "data"))[0]).toEqual(drainWord);
    prober.write("defgh");
    expect(String((await once(prober, "data"))[0])).toBe("abcdefgh");

    // Who has not heard yet is served as ever, and a prober that comes now hears it first.
    const late = dial(port, sni);
    late.write("late");
    expect(String((await once(late, "data"))[0])).toBe("late");
    const lateProber = dial(port, pingSni, gatewaySvid.spiffeId);
    expect((await once(lateProber, "data"))[0]).toEqual(drainWord);

    await clock.advance(defaultGatewayLimits.announceMs);
    expect(await once(connectTcp(port, "127.0.0.1"), "error")).toMatchObject([{ code: "ECONNREFUSED" }]);
    late.write("still");
    expect(String((await once(late, "data"))[0])).toBe("still");
    prober.write("76543210");
    expect(String((await once(prober, "data"))[0])).toBe("76543210");

    // With the last of what it carries it is gone, and probers see an end, not a reset.
    const ends = Promise.all([once(prober, "close"), once(lateProber, "close")]);
    late.end();
    await drained;
    expect(await ends).toEqual([[false], [false]]);
    expect(stats.resets).toBe(0);
  });
});
