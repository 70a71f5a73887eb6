import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { TimingWheel } from "../http/timing-wheel.ts";
import type { Connector, ConnectHandler, UpstreamTarget } from "./connector.ts";
import { defaultPoolLimits } from "./pool-environment.ts";
import { PoolSet } from "./pool-set.ts";
import type { PoolLimits } from "./pool-environment.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import type { ConnectFailure, ConnectionUser, LossKind, Upstream, UpstreamNeeds } from "./upstream.ts";
import { bareRequest } from "./request-fixture.ts";

const target: UpstreamTarget = { address: "10.0.0.1", port: 1, sni: "p80.catalog.web.svc.shop.example", identities: [] };

/** A socket without a network: what TLS does when is the test's to say. */
class ScriptedSocket extends Duplex {
  readonly handler: ConnectHandler;
  written = "";

  constructor(handler: ConnectHandler) {
    super({ allowHalfOpen: true });
    this.handler = handler;
  }

  override _read(): void {
    // Bytes come through the handler, as with `onread`.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written += chunk.toString("latin1");
    done();
  }

  /** Bytes from the server. */
  receive(text: string): void {
    const length = this.handler.readBuffer.write(text, "latin1");
    this.handler.onBytes(length, this.handler.readBuffer);
  }
}

const anyOne: UpstreamNeeds = { proven: false, fresh: false, exclusive: false };
const provenOnly: UpstreamNeeds = { ...anyOne, proven: true };

class User implements ConnectionUser {
  connection: UpstreamConnection | undefined;
  readonly events: string[] = [];

  onConnection(upstream: Upstream): void {
    this.connection = upstream as UpstreamConnection;
    this.events.push("connection");
  }
  onConnectFailure(kind: ConnectFailure): void {
    this.events.push(`connectFailure ${kind}`);
  }
  onHead(): void {}
  onBody(): void {}
  onComplete(): void {
    this.events.push("complete");
  }
  onReadEnd(): void {}
  onLost(kind: LossKind): void {
    this.events.push(`lost ${kind}`);
  }
  onRefused(): void {}
  onSilence(): void {}
  onWritable(): void {}

  /** Sends a request on the connection it was given. */
  send(): void {
    this.connection?.send(this, bareRequest);
  }
}

function setUp(limits: Partial<PoolLimits> = {}) {
  const clock = new VirtualClock();
  const sockets: ScriptedSocket[] = [];
  const connector: Connector = {
    negotiates: false,
    connect(_target, handler) {
      const socket = new ScriptedSocket(handler);
      sockets.push(socket);
      return socket as unknown as Socket;
    },
  };
  const pools = new PoolSet({ connector, clock, random: createSeededRandom(3), wheel: new TimingWheel(clock), limits: { ...defaultPoolLimits, ...limits } });
  return { clock, sockets, pools, pool: pools.claim(target) as ConnectionPool };
}

const response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

describe("a pool", () => {
  test("gives a request that cannot be repeated only a connection on which the server has spoken", () => {
    const { sockets, pool } = setUp();
    const post = new User();
    pool.acquire(post, provenOnly);
    sockets[0]?.handler.onReady();
    expect(post.events).toEqual([]);
    const get = new User();
    pool.acquire(get, anyOne);
    expect(get.events).toEqual(["connection"]);
    get.send();
    sockets[0]?.receive(response);
    expect(get.events).toEqual(["connection", "complete"]);
    expect(post.events).toEqual(["connection"]);
    expect(post.connection).toBe(get.connection);
  });

  test("keeps who waits while responses come, though a connect takes too long, and no longer", async () => {
    const { clock, sockets, pool } = setUp();
    const busy = new User();
    pool.acquire(busy, anyOne);
    sockets[0]?.handler.onReady();
    busy.send();
    const waiting = new User();
    const behind = new User();
    for (const user of [waiting, behind]) pool.acquire(user, anyOne);
    await clock.advance(defaultPoolLimits.connectMs - 100);
    sockets[0]?.receive(response);
    waiting.send();
    await clock.advance(150);
    expect([waiting.events, behind.events]).toEqual([["connection"], []]);
    await clock.advance(defaultPoolLimits.connectMs + 50);
    expect(behind.events).toEqual(["connectFailure timeout"]);
  });

  test("opens no second connection while the first is still to be proven, and one when another request takes it", () => {
    const { sockets, pool } = setUp();
    const post = new User();
    pool.acquire(post, provenOnly);
    sockets[0]?.handler.onReady();
    expect(sockets).toHaveLength(1);
    pool.acquire(new User(), anyOne);
    expect(sockets).toHaveLength(2);
    sockets[1]?.handler.onReady();
    sockets[1]?.handler.onProven();
    expect(post.events).toEqual(["connection"]);
  });

  test("counts a session ticket as the server's word", () => {
    const { sockets, pool } = setUp();
    const post = new User();
    pool.acquire(post, provenOnly);
    sockets[0]?.handler.onReady();
    sockets[0]?.handler.onProven();
    expect(post.events).toEqual(["connection"]);
  });

  test("uses the connection that was used last", () => {
    const { sockets, pool } = setUp();
    const users = [new User(), new User()];
    for (const user of users) pool.acquire(user, anyOne);
    for (const socket of sockets) socket.handler.onReady();
    for (const user of users) user.send();
    sockets[1]?.receive(response);
    sockets[0]?.receive(response);
    const next = new User();
    pool.acquire(next, anyOne);
    expect(next.connection).toBe(users.find((user) => user.connection?.socket === (sockets[0] as unknown as Socket))?.connection);
  });

  test("tells who waits of a failed connect, and of one that takes too long", async () => {
    const { clock, sockets, pool } = setUp();
    const first = new User();
    pool.acquire(first, anyOne);
    sockets[0]?.destroy(new Error("refused"));
    await clock.advance(0);
    expect(first.events).toEqual(["connectFailure connect"]);
    const second = new User();
    pool.acquire(second, anyOne);
    await clock.advance(defaultPoolLimits.connectMs + 50);
    expect(second.events).toEqual(["connectFailure timeout"]);
  });

  test("bounds who waits and how many handshakes run, over all pools", () => {
    const { sockets, pools, pool } = setUp({ handshakesMax: 2, waitingMax: 3 });
    const other = pools.claim({ ...target, port: 2 });
    const users = Array.from({ length: 4 }, () => new User());
    for (const user of users) pool.acquire(user, anyOne);
    expect(users[3]?.events).toEqual(["connectFailure overflow"]);
    const elsewhere = new User();
    other.acquire(elsewhere, anyOne);
    expect(sockets).toHaveLength(2);
    sockets[0]?.handler.onReady();
    sockets[1]?.handler.onReady();
    expect(sockets).toHaveLength(4);
    sockets[2]?.handler.onReady();
    sockets[3]?.handler.onReady();
    expect([...users.slice(0, 3), elsewhere].map((user) => user.events)).toEqual(Array.from({ length: 4 }, () => ["connection"]));
    expect(pools.handshakes).toBe(0);
  });

  test("ends idle connections after their time, and does not reuse old ones", async () => {
    const { clock, sockets, pool } = setUp({ idleMs: 30_000, ageMs: 60_000 });
    const use = async (): Promise<void> => {
      const user = new User();
      pool.acquire(user, anyOne);
      if (user.connection === undefined) sockets.at(-1)?.handler.onReady();
      user.send();
      sockets.at(-1)?.receive(response);
      await clock.advance(0);
    };
    await use();
    for (let count = 0; count < 10; count++) {
      await clock.advance(10_000);
      await use();
    }
    // 100 s in use with an age of 60 s ± 20 %: replaced, and never more than one at a time.
    expect(sockets.length).toBeGreaterThan(1);
    expect(sockets.length).toBeLessThan(4);
    expect(pool.connections).toBe(1);
    await clock.advance(31_500);
    expect(pool.connections).toBe(0);
  });

  test("tells a request on a connection whose gateway is silent of its loss at once", async () => {
    const { clock, sockets, pools, pool } = setUp();
    const [busy, waiting] = [new User(), new User()];
    pool.acquire(busy, anyOne);
    sockets[0]?.handler.onReady();
    busy.send();
    pool.acquire(waiting, anyOne);
    pools.doubtAddress("10.0.0.1", 1);
    expect(busy.events).toEqual(["connection", "lost closed"]);
    await clock.advance(0);
    expect(waiting.events).toEqual(["connectFailure connect"]);
    expect(pool.connections).toBe(0);
  });

  test("keeps one connection warm, not two", () => {
    const { sockets, pool } = setUp();
    pool.warm();
    sockets[0]?.handler.onReady();
    pool.warm();
    expect([sockets.length, pool.idleConnections]).toEqual([1, 1]);
  });

  test("replaces connections when identities change, after the requests on them", async () => {
    const { clock, sockets, pools, pool } = setUp();
    const [busy, idle] = [new User(), new User()];
    for (const user of [busy, idle]) pool.acquire(user, anyOne);
    for (const socket of sockets) socket.handler.onReady();
    for (const user of [busy, idle]) user.send();
    sockets[1]?.receive(response);
    pools.renew();
    await clock.advance(0);
    expect(sockets[1]?.destroyed).toBe(true);
    expect(sockets[0]?.destroyed).toBe(false);
    sockets[0]?.receive(response);
    expect(busy.events).toEqual(["connection", "complete"]);
    expect(sockets[0]?.destroyed).toBe(true);
  });

  test("that no snapshot names is gone when its last request is over", async () => {
    const { clock, sockets, pools, pool } = setUp();
    const user = new User();
    pool.acquire(user, anyOne);
    sockets[0]?.handler.onReady();
    user.send();
    pools.release(pool);
    expect(pools.pools()).toHaveLength(1);
    sockets[0]?.receive(response);
    await clock.advance(0);
    expect(user.events).toEqual(["connection", "complete"]);
    expect(pools.pools()).toEqual([]);
  });
});
