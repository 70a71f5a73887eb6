import type { Clock } from "#federation/runtime/clock.ts";
import { jittered } from "#federation/runtime/random.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import { defaultHttpLimits } from "../http/http-limits.ts";
import type { TimingWheel } from "../http/timing-wheel.ts";
import { ConnectPace } from "./connect-pace.ts";
import type { Connector, UpstreamTarget } from "./connector.ts";
import { targetKey } from "./connector.ts";
import { UpstreamConnection } from "./upstream-connection.ts";
import type { ConnectionOwner, ConnectionUser } from "./upstream-connection.ts";

/** Bounds of a pool. */
export interface PoolLimits {
  readonly connectionsMax: number;
  /** Requests that wait for a connection; more fail at once (UO). */
  readonly waitingMax: number;
  /** Shorter than the server's, so that we and not it end an idle connection: client 30 s < gateway 60 s < inbound 120 s. */
  readonly idleMs: number;
  /** The same towards an app (a plain hop): servers' own limits begin at 5 s (node:http, Apache). */
  readonly appIdleMs: number;
  /** A connection is not used for new requests after this ± 20 %, so that load moves to new gateways. */
  readonly ageMs: number;
  readonly connectMs: number;
  /**
   * TLS handshakes in progress over all pools of a process. Each costs about 0.5 ms of CPU, but most of its time is round
   * trips: a bound of 32 lets 200 a second through to a region 80 ms away, fewer than a failover brings (ADR 0010).
   */
  readonly handshakesMax: number;
}

/** What holds unless configured otherwise; Envoy's circuit limits are 1024 as well. */
export const defaultPoolLimits: PoolLimits = {
  connectionsMax: 1024,
  waitingMax: 1024,
  idleMs: 30_000,
  appIdleMs: 4_000,
  ageMs: 600_000,
  connectMs: 2_000,
  handshakesMax: 64,
};

/** What all pools of a process share. */
export interface PoolEnvironment {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimingWheel;
  readonly limits?: PoolLimits;
  readonly httpLimits?: HttpLimits;
}

/** Requests on the way to one address, over all pools that lead there. */
export class AddressLoad {
  inFlight = 0;
}

/**
 * The connections to one target. Requests get the connection that was used last, so that surplus ones grow old; a
 * request that cannot change its mind (not idempotent) gets only a proven one.
 */
export class ConnectionPool implements ConnectionOwner {
  readonly target: UpstreamTarget;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly load: AddressLoad;
  /** Ms until a connect attempt is given up; set from the policy of the service that the target belongs to. */
  connectMs: number;
  readonly #set: PoolSet;
  readonly #environment: PoolEnvironment;
  readonly #limits: PoolLimits;
  readonly #connections = new Set<UpstreamConnection>();
  readonly #idle: UpstreamConnection[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #pace: ConnectPace;
  #connecting = 0;
  /** When a response last came to its end. */
  #respondedMs = Number.NEGATIVE_INFINITY;
  #draining = false;

  constructor(set: PoolSet, environment: PoolEnvironment, target: UpstreamTarget, load: AddressLoad) {
    this.#set = set;
    this.#environment = environment;
    this.target = target;
    this.load = load;
    this.wheel = environment.wheel;
    this.httpLimits = environment.httpLimits ?? defaultHttpLimits;
    this.#limits = environment.limits ?? defaultPoolLimits;
    this.connectMs = this.#limits.connectMs;
    this.#pace = new ConnectPace(this.#limits.handshakesMax);
  }

  nowMs(): number {
    return this.#environment.clock.monotonicMs();
  }

  get connections(): number {
    return this.#connections.size;
  }

  get idleConnections(): number {
    return this.#idle.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Connects that may be in progress now. */
  get connectsMax(): number {
    return this.#pace.allowed({ connecting: this.#connecting, open: this.#connections.size, waiting: this.#waiting.length }, this.nowMs());
  }

  /**
   * Gives `user` a connection, now or later, by `onConnection` or `onConnectFailure`. `needsProven`: one on which the
   * server has spoken already. `needsFresh`: one that was not used before.
   */
  acquire(user: ConnectionUser, needsProven: boolean, needsFresh: boolean): void {
    const idle = this.#takeIdle(needsProven, needsFresh);
    if (idle !== undefined) {
      // It may have been what a waiting request hoped to see proven.
      if (!idle.proven && this.#waiting.length > 0) this.#grow();
      user.onConnection(idle);
      return;
    }
    if (this.#waiting.length >= this.#limits.waitingMax) {
      user.onConnectFailure("overflow");
      return;
    }
    this.#waiting.push({ user, needsProven, needsFresh });
    this.#grow();
  }

  /** Takes a waiting request back. */
  forget(user: ConnectionUser): void {
    const at = this.#waiting.findIndex((waiting) => waiting.user === user);
    if (at !== -1) this.#waiting.splice(at, 1);
  }

  /** Keeps `count` connections open to a target that may be needed soon. */
  warm(count: number): void {
    while (this.#connections.size < count && !this.#draining && this.#set.mayHandshake(this)) this.#open();
  }

  /** Destroys all connections; requests on them hear of a reset, those waiting of a connect failure. */
  purge(): void {
    for (const connection of [...this.#connections]) connection.purge();
    this.#idle.length = 0;
  }

  /** No snapshot names the target any more: idle connections go, requests in flight finish. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** New requests get new connections; idle ones go, busy ones finish first. */
  renew(): void {
    for (const connection of this.#connections) connection.expire();
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** A snapshot names it again. */
  revive(): void {
    this.#draining = false;
  }

  onReady(connection: UpstreamConnection): void {
    this.#connecting--;
    const nowMs = this.nowMs();
    this.#pace.ended(nowMs - connection.openedMs, nowMs);
    // Who waits is served first: what then still waits decides whether another handshake is needed.
    this.onIdle(connection);
    this.#set.handshakeEnded();
    if (this.#waiting.length > 0) this.#grow();
  }

  onProven(connection: UpstreamConnection): void {
    if (!this.#idle.includes(connection)) return;
    this.#serveWaiting();
  }

  onIdle(connection: UpstreamConnection): void {
    if (this.#draining && this.#waiting.length === 0) {
      connection.destroy();
      return;
    }
    if (connection.served > 0) this.#respondedMs = this.nowMs();
    this.#idle.push(connection);
    if (this.#waiting.length > 0) this.#serveWaiting();
  }

  onClosed(connection: UpstreamConnection, timedOut: boolean): void {
    this.#connections.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    if (!connection.ready) {
      this.#connecting--;
      this.#set.handshakeEnded();
      const nowMs = this.nowMs();
      if (timedOut) this.#pace.ended(nowMs - connection.openedMs, nowMs);
      // While responses come, who waits is served by the connections that are there; it was not his connect that took too long.
      const isServing = timedOut && this.#respondedMs >= nowMs - this.connectMs;
      if (!isServing) this.#waiting.shift()?.user.onConnectFailure(timedOut ? "timeout" : "connect");
    }
    // What still waits must not wait for a connection that nobody opens.
    if (this.#waiting.length > 0) this.#grow();
    if (this.#draining && this.#connections.size === 0) this.#set.retire(this);
  }

  /** Opens as many connections as there are requests waiting for one, within the limits. */
  #grow(): void {
    const unproven = this.#idle.reduce((count, connection) => (connection.proven ? count : count + 1), 0);
    // What is allowed includes what is connecting, so opening one does not change it.
    const most = Math.min(this.#waiting.length - unproven, this.connectsMax);
    while (this.#connecting < most && this.#connections.size < this.#limits.connectionsMax) {
      if (!this.#set.mayHandshake(this)) return;
      this.#open();
    }
  }

  /** A handshake elsewhere has ended: there is room for one of ours. */
  handshakeAllowed(): void {
    this.#grow();
  }

  #open(): void {
    const { connector, random } = this.#environment;
    this.#connecting++;
    this.#pace.began(this.#connections.size, this.nowMs());
    this.#set.handshakeBegan();
    const { ageMs } = this.#limits;
    const idleMs = this.target.sni === "" ? this.#limits.appIdleMs : this.#limits.idleMs;
    this.#connections.add(new UpstreamConnection(this, connector, { connectMs: this.connectMs, idleMs, ageMs: jittered(random, ageMs, 0.2) }));
  }

  #takeIdle(needsProven: boolean, needsFresh: boolean): UpstreamConnection | undefined {
    for (let at = this.#idle.length - 1; at >= 0; at--) {
      const connection = this.#idle[at];
      if (connection === undefined) continue;
      if (connection.usable && ((needsProven && !connection.proven) || (needsFresh && connection.served > 0))) continue;
      if (at === this.#idle.length - 1) this.#idle.pop();
      else this.#idle.splice(at, 1);
      if (connection.usable) return connection;
      connection.destroy();
    }
    return undefined;
  }

  #serveWaiting(): void {
    for (let at = 0; at < this.#waiting.length; ) {
      const waiting = this.#waiting[at];
      if (waiting === undefined) return;
      const connection = this.#takeIdle(waiting.needsProven, waiting.needsFresh);
      if (connection === undefined) {
        at++;
        continue;
      }
      this.#waiting.splice(at, 1);
      waiting.user.onConnection(connection);
    }
  }
}

interface Waiting {
  readonly user: ConnectionUser;
  readonly needsProven: boolean;
  readonly needsFresh: boolean;
}

/** All pools of a process, one for each distinct target. */
export class PoolSet {
  readonly #environment: PoolEnvironment;
  readonly #pools = new Map<string, PoolEntry>();
  readonly #loads = new Map<string, AddressLoad>();
  readonly #handshakesMax: number;
  #handshakes = 0;
  readonly #wantHandshake = new Set<ConnectionPool>();

  constructor(environment: PoolEnvironment) {
    this.#environment = environment;
    this.#handshakesMax = (environment.limits ?? defaultPoolLimits).handshakesMax;
  }

  get handshakes(): number {
    return this.#handshakes;
  }

  /** The pool of `target`, kept until as many `release` calls as `claim` calls were made. */
  claim(target: UpstreamTarget): ConnectionPool {
    const key = targetKey(target);
    let entry = this.#pools.get(key);
    if (entry === undefined) {
      entry = { pool: new ConnectionPool(this, this.#environment, target, this.#loadOf(target)), claims: 0 };
      this.#pools.set(key, entry);
    }
    entry.claims++;
    entry.pool.revive();
    return entry.pool;
  }

  release(pool: ConnectionPool): void {
    const entry = this.#pools.get(targetKey(pool.target));
    if (entry === undefined || entry.pool !== pool || --entry.claims > 0) return;
    pool.drain();
    if (pool.connections === 0) this.retire(pool);
  }

  /** Destroys all connections to an address, whatever they were for: its gateway does not answer. */
  purge(address: string, port: number): void {
    for (const { pool } of [...this.#pools.values()]) {
      if (pool.target.address === address && pool.target.port === port) pool.purge();
    }
  }

  /** Gives up every idle connection and lets busy ones finish: our own identity or the trusted roots have changed. */
  renew(): void {
    for (const { pool } of this.#pools.values()) pool.renew();
  }

  /** Pools as they are now, for the admin page and metrics. */
  pools(): ConnectionPool[] {
    return [...this.#pools.values()].map((entry) => entry.pool);
  }

  mayHandshake(pool: ConnectionPool): boolean {
    if (this.#handshakes < this.#handshakesMax) return true;
    this.#wantHandshake.add(pool);
    return false;
  }

  handshakeBegan(): void {
    this.#handshakes++;
  }

  handshakeEnded(): void {
    this.#handshakes--;
    for (const pool of this.#wantHandshake) {
      if (this.#handshakes >= this.#handshakesMax) return;
      this.#wantHandshake.delete(pool);
      pool.handshakeAllowed();
    }
  }

  /** A drained pool has closed its last connection. */
  retire(pool: ConnectionPool): void {
    const key = targetKey(pool.target);
    const entry = this.#pools.get(key);
    if (entry?.pool !== pool || entry.claims > 0) return;
    this.#pools.delete(key);
    const isLastThere = !this.pools().some((other) => other.load === pool.load);
    if (isLastThere) this.#loads.delete(addressKey(pool.target));
  }

  #loadOf(target: UpstreamTarget): AddressLoad {
    const key = addressKey(target);
    const load = this.#loads.get(key) ?? new AddressLoad();
    this.#loads.set(key, load);
    return load;
  }
}

interface PoolEntry {
  readonly pool: ConnectionPool;
  claims: number;
}

function addressKey(target: UpstreamTarget): string {
  return `${target.address}|${target.port}`;
}
