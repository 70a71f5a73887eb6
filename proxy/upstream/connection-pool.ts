import { jittered } from "#federation/runtime/random.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import { defaultHttpLimits } from "../http/http-limits.ts";
import type { TimingWheel } from "../http/timing-wheel.ts";
import type { AddressLoad } from "./address-load.ts";
import type { UpstreamTarget } from "./connector.ts";
import { defaultPoolLimits } from "./pool-environment.ts";
import type { PoolKeeper, PoolEnvironment, PoolLimits } from "./pool-environment.ts";
import { UpstreamConnection } from "./upstream-connection.ts";
import type { ConnectionOwner } from "./upstream-connection.ts";
import type { ConnectEnd, ConnectionUser, UpstreamNeeds, UpstreamPool } from "./upstream.ts";

/**
 * The HTTP/1.1 connections to one target: the application behind a sidecar, an older sidecar, and upgrades. Requests get the connection that was used last, so that surplus ones grow old; a
 * request that cannot change its mind (not idempotent) gets only a proven one.
 */
export class ConnectionPool implements UpstreamPool, ConnectionOwner {
  readonly target: UpstreamTarget;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly load: AddressLoad;
  /** Ms until a connect attempt is given up; set from the policy of the service that the target belongs to. */
  connectMs: number;
  instances = 1;
  readonly pingsInBand = false;
  readonly isUnreachable = false;
  readonly report = undefined;
  readonly reports = 0;
  readonly reportedAtMs = Number.NEGATIVE_INFINITY;
  readonly #keeper: PoolKeeper;
  readonly #environment: PoolEnvironment;
  readonly #limits: PoolLimits;
  readonly #connections = new Set<UpstreamConnection>();
  readonly #idle: UpstreamConnection[] = [];
  readonly #waiting: Waiting[] = [];
  #connecting = 0;
  /** When a response last came to its end. */
  #respondedMs = Number.NEGATIVE_INFINITY;
  #draining = false;

  constructor(keeper: PoolKeeper, environment: PoolEnvironment, target: UpstreamTarget, load: AddressLoad) {
    this.#keeper = keeper;
    this.#environment = environment;
    this.target = target;
    this.load = load;
    this.wheel = environment.wheel;
    this.httpLimits = environment.httpLimits ?? defaultHttpLimits;
    this.#limits = environment.limits ?? defaultPoolLimits;
    this.connectMs = this.#limits.connectMs;
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

  get streams(): number {
    let busy = 0;
    for (const connection of this.#connections) if (connection.busy) busy++;
    return busy;
  }

  acquire(user: ConnectionUser, needs: UpstreamNeeds): void {
    const idle = this.#takeIdle(needs);
    if (idle !== undefined) {
      // It may have been what a waiting request hoped to see proven.
      if (!idle.proven && this.#waiting.length > 0) this.#grow();
      user.onConnection(idle);
      return;
    }
    if (this.#waiting.length >= this.#limits.waitingMax) {
      user.onConnectFailure("overflow", false);
      return;
    }
    this.#waiting.push({ user, needs });
    this.#grow();
  }

  forget(user: ConnectionUser): void {
    const at = this.#waiting.findIndex((waiting) => waiting.user === user);
    if (at !== -1) this.#waiting.splice(at, 1);
  }

  warm(): void {
    if (this.#connections.size === 0 && !this.#draining && this.#keeper.mayHandshake(this)) this.#open();
  }

  purge(): void {
    for (const connection of [...this.#connections]) connection.purge();
    this.#idle.length = 0;
  }

  /** Without pings in band nobody could tell when it speaks again. */
  doubt(): void {
    this.purge();
  }

  drain(): void {
    this.#draining = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  renew(): void {
    for (const connection of this.#connections) connection.expire();
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  revive(): void {
    this.#draining = false;
  }

  onReady(connection: UpstreamConnection): void {
    this.#connecting--;
    // Who waits is served first: what then still waits decides whether another handshake is needed.
    this.onIdle(connection);
    this.#keeper.handshakeEnded();
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

  onClosed(connection: UpstreamConnection, end: ConnectEnd): void {
    this.#connections.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    if (!connection.ready) {
      this.#connecting--;
      this.#keeper.handshakeEnded();
      const nowMs = this.nowMs();
      // While responses come, who waits is served by the connections that are there; it was not his connect that took too long.
      const isServing = end === "timeout" && this.#respondedMs >= nowMs - this.connectMs;
      if (!isServing) this.#waiting.shift()?.user.onConnectFailure(end, false);
    }
    // What still waits must not wait for a connection that nobody opens.
    if (this.#waiting.length > 0) this.#grow();
    if (this.#draining && this.#connections.size === 0) this.#keeper.retire(this);
  }

  /** Opens as many connections as there are requests waiting for one, within the limits. */
  #grow(): void {
    const unproven = this.#idle.reduce((count, connection) => (connection.proven ? count : count + 1), 0);
    const most = this.#waiting.length - unproven;
    while (this.#connecting < most && this.#connections.size < this.#limits.connectionsMax) {
      if (!this.#keeper.mayHandshake(this)) return;
      this.#open();
    }
  }

  handshakeAllowed(): void {
    this.#grow();
  }

  #open(): void {
    const { connector, random } = this.#environment;
    this.#connecting++;
    this.#keeper.handshakeBegan();
    const { ageMs } = this.#limits;
    const idleMs = this.target.sni === "" ? this.#limits.appIdleMs : this.#limits.idleMs;
    this.#connections.add(new UpstreamConnection(this, connector, { connectMs: this.connectMs, idleMs, ageMs: jittered(random, ageMs, 0.2) }));
  }

  #takeIdle({ proven, fresh }: UpstreamNeeds): UpstreamConnection | undefined {
    for (let at = this.#idle.length - 1; at >= 0; at--) {
      const connection = this.#idle[at];
      if (connection === undefined) continue;
      if (connection.usable && ((proven && !connection.proven) || (fresh && connection.served > 0))) continue;
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
      const connection = this.#takeIdle(waiting.needs);
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
  readonly needs: UpstreamNeeds;
}
