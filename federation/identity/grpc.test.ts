import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { Client, Metadata, Server, status, type ServiceError, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { parseSpiffeId } from "#federation/model/spiffe-id.ts";
import { createAnchors } from "./anchors.ts";
import { createGrpcCredentials } from "./grpc-credentials.ts";
import { openGrpcListener, peerOfCall, type GrpcListener, type GrpcListenerOptions } from "./grpc-listener.ts";
import { createDomainFixture } from "./identity-fixture.ts";
import { acceptExactly, createTlsMaterial, type ClientTlsOptions, type TlsMaterial } from "./tls-options.ts";

const shop = createDomainFixture("shop.example", systemClock.nowMs());
const pay = createDomainFixture("pay.example", systemClock.nowMs());
const planeId = "spiffe://pay.example/atoll/plane/cluster/pay-eu-1";
const caller = "spiffe://shop.example/ns/web/sa/storefront";
const open: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const whoAmI = {
  whoAmI: {
    path: "/test.Who/AmI",
    requestStream: false,
    responseStream: false,
    requestSerialize: (text: string) => Buffer.from(text),
    requestDeserialize: (bytes: Buffer) => bytes.toString(),
    responseSerialize: (text: string) => Buffer.from(text),
    responseDeserialize: (bytes: Buffer) => bytes.toString(),
  },
} as const;

async function serve(material: WatchedValue<TlsMaterial | undefined>, extra: Partial<GrpcListenerOptions> = {}): Promise<GrpcListener> {
  const server = new Server();
  server.addService(whoAmI, {
    whoAmI(call: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) {
      answer(null, peerOfCall(call) ?? "nobody");
    },
  });
  const listener = await openGrpcListener({ server, address: "127.0.0.1", port: 0, material, clients: "required", accept: () => true, ...extra }, new AbortController().signal);
  open.push(async () => {
    await listener[Symbol.asyncDispose]();
    server.forceShutdown();
  });
  return listener;
}

function call(listener: GrpcListener, tls: () => ClientTlsOptions | undefined): Promise<string> {
  const client = new Client(`127.0.0.1:${listener.port}`, createGrpcCredentials(tls));
  return ask(client).finally(() => client.close());
}

function ask(client: Client): Promise<string> {
  return new Promise((resolve, reject) => {
    const method = whoAmI.whoAmI;
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, "?", new Metadata(), {}, (error: ServiceError | null, answer?: string) => {
      if (error) reject(error);
      else resolve(answer ?? "");
    });
  });
}

const good = (): ClientTlsOptions => ({ svid: shop.issue(caller), anchors: createAnchors([pay.bundle]), accept: acceptExactly([parseSpiffeId(planeId)]) });
const materialOf = (...bundles: Parameters<typeof createTlsMaterial>[1]): WatchedValue<TlsMaterial | undefined> => new WatchedValue<TlsMaterial | undefined>(createTlsMaterial(pay.issue(planeId), bundles));
const unavailable = { code: status.UNAVAILABLE };

test("a call learns its caller's identity from the handshake", async () => {
  const listener = await serve(materialOf(pay.bundle, shop.bundle));
  expect(await call(listener, good)).toBe(caller);
});

test.each(["root", "intermediate"] as const)("a caller signed by B that claims A never reaches a method, in either direction (%s)", async (via) => {
  const refusals: string[] = [];
  const listener = await serve(materialOf(pay.bundle, shop.bundle), { onRefused: (reason) => refusals.push(reason) });
  await expect(call(listener, () => ({ ...good(), svid: pay.issue(caller, via) }))).rejects.toMatchObject(unavailable);
  await expect(call(listener, () => ({ ...good(), svid: shop.issue("spiffe://pay.example/ns/core/sa/ledger", via) }))).rejects.toMatchObject(unavailable);
  expect(refusals.length).toBeGreaterThanOrEqual(2);
  expect(await call(listener, () => ({ ...good(), svid: shop.issue(caller, via) }))).toBe(caller);
});

test.each(["root", "intermediate"] as const)("a client refuses a server signed by B that claims A, and an identity it does not expect (%s)", async (via) => {
  const forged = new WatchedValue<TlsMaterial | undefined>(createTlsMaterial(shop.issue(planeId, via), [pay.bundle, shop.bundle]));
  const listener = await serve(forged);
  await expect(call(listener, good)).rejects.toMatchObject(unavailable);
  await expect(call(listener, () => ({ ...good(), anchors: createAnchors([shop.bundle, pay.bundle]) }))).rejects.toMatchObject(unavailable);
  const honest = await serve(materialOf(pay.bundle, shop.bundle));
  await expect(call(honest, () => ({ ...good(), accept: acceptExactly([parseSpiffeId("spiffe://pay.example/atoll/plane/global")]) }))).rejects.toMatchObject(unavailable);
});

test("a caller that the listener does not accept is refused though its certificate is genuine", async () => {
  const listener = await serve(materialOf(pay.bundle, shop.bundle), { accept: acceptExactly([parseSpiffeId("spiffe://shop.example/ns/web/sa/other")]) });
  await expect(call(listener, good)).rejects.toMatchObject(unavailable);
});

test("swapping the material changes who may connect next; live connections go on", async () => {
  const material = materialOf(pay.bundle);
  const listener = await serve(material);
  await expect(call(listener, good)).rejects.toMatchObject(unavailable);
  material.set(createTlsMaterial(pay.issue(planeId), [pay.bundle, shop.bundle]));
  const client = new Client(`127.0.0.1:${listener.port}`, createGrpcCredentials(good));
  open.push(() => client.close());
  expect(await ask(client)).toBe(caller);
  material.set(createTlsMaterial(pay.issue(planeId), [pay.bundle]));
  await expect(call(listener, good)).rejects.toMatchObject(unavailable);
  expect(await ask(client)).toBe(caller);
});

test("the client's identity is asked for at each connection, and without one nothing is sent", async () => {
  const listener = await serve(materialOf(pay.bundle, shop.bundle));
  let current: ClientTlsOptions | undefined;
  await expect(call(listener, () => current)).rejects.toMatchObject(unavailable);
  current = good();
  expect(await call(listener, () => current)).toBe(caller);
});

test("a listener for first contact takes clients without certificates and knows them as nobody", async () => {
  const listener = await serve(materialOf(pay.bundle), { clients: "none", presentedRoot: pay.root.certificateDer });
  expect(await call(listener, () => ({ anchors: createAnchors([pay.bundle]), accept: acceptExactly([parseSpiffeId(planeId)]) }))).toBe("nobody");
});

test("closing ends while a client stays connected, works twice, and opening needs an identity", async () => {
  const listener = await serve(materialOf(pay.bundle, shop.bundle));
  const client = new Client(`127.0.0.1:${listener.port}`, createGrpcCredentials(good));
  open.push(() => client.close());
  expect(await ask(client)).toBe(caller);
  await listener[Symbol.asyncDispose]();
  await listener[Symbol.asyncDispose]();
  await expect(ask(client)).rejects.toMatchObject(unavailable);
  await expect(serve(new WatchedValue<TlsMaterial | undefined>(undefined))).rejects.toMatchObject({ code: "ATOLL_PEER_UNVERIFIED" });
});

const somaxconn = "/proc/sys/net/core/somaxconn";
const crowd = 1_000;
const hasRoom = existsSync(somaxconn) && Number(readFileSync(somaxconn, "utf8")) >= crowd;

/** Connections to `port` that the system has made, taken by the program or not. */
function madeTo(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const isMade = (line: string): boolean => {
    const [, at = "", , state] = line.trim().split(/\s+/);
    return at.endsWith(local) && state === "01";
  };
  return readFileSync("/proc/self/net/tcp", "latin1").split("\n").filter(isMade).length;
}

test.skipIf(!hasRoom)("a thousand callers that come while the plane does something else wait for it, and none has to try again", async () => {
  const listener = await serve(materialOf(pay.bundle, shop.bundle));
  const sockets = Array.from({ length: crowd }, () => connect(listener.port, "127.0.0.1").on("error", () => undefined));
  open.push(() => sockets.forEach((socket) => socket.destroy()));
  // They dial at the end of this tick; from then on the loop is held here, so that nobody takes a connection.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 300 && madeTo(listener.port) < crowd; tries++) Atomics.wait(clock, 0, 0, 20);
  expect(madeTo(listener.port)).toBeGreaterThanOrEqual(crowd);
});

test.each([
  ["of callers who prove themselves by the handshake", "required", false],
  ["of callers who prove themselves by what they ask", "none", true],
] as const)("a full port %s takes one that comes instead of a stranger who proves nothing", async (_, clients, isEncrypted) => {
  const refused: string[] = [];
  const listener = await serve(materialOf(pay.bundle, shop.bundle), { clients, connectionsMax: 2, onRefused: (reason) => void refused.push(reason) });
  const strangers = [1, 2].map(() => (isEncrypted ? connectTls({ port: listener.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] }) : connect(listener.port, "127.0.0.1")));
  open.push(() => strangers.forEach((stranger) => stranger.destroy()));
  for (const stranger of strangers) stranger.on("error", () => undefined);
  await Promise.all(strangers.map(async (stranger) => await once(stranger, isEncrypted ? "secureConnect" : "connect")));
  const client = new Client(`127.0.0.1:${listener.port}`, createGrpcCredentials(good), { "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 200 });
  open.push(() => client.close());
  await expect.poll(() => ask(client).catch(() => "refused"), { timeout: 30_000 }).toBe(clients === "required" ? caller : "nobody");
  expect(refused[0]).toBe("2 connections are open");
  expect(refused).toContain("a connection that proved nothing gave way to another");
});
