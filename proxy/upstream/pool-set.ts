import { MeshPool } from "../hop/mesh-pool.ts";
import { AddressLoad } from "./address-load.ts";
import { ConnectionPool } from "./connection-pool.ts";
import type { UpstreamTarget } from "./connector.ts";
import { targetKey } from "./connector.ts";
import { defaultPoolLimits } from "./pool-environment.ts";
import type { PoolKeeper, PoolEnvironment } from "./pool-environment.ts";
import type { UpstreamPool } from "./upstream.ts";

/** All pools of a process, one for each distinct target. */
export class PoolSet implements PoolKeeper {
  readonly #environment: PoolEnvironment;
  readonly #pools = new Map<string, PoolEntry>();
  readonly #loads = new Map<string, AddressLoad>();
  readonly #leaving = new Set<string>();
  readonly #handshakesMax: number;
  #handshakes = 0;
  readonly #wantHandshake = new Set<UpstreamPool>();
  #changes = 0;

  constructor(environment: PoolEnvironment) {
    this.#environment = environment;
    this.#handshakesMax = (environment.limits ?? defaultPoolLimits).handshakesMax;
  }

  get handshakes(): number {
    return this.#handshakes;
  }

  /** Grows whenever a pool can be reached no more, or again: whoever chooses must look again. */
  get version(): number {
    return this.#changes;
  }

  /** The pool of `target`, kept until as many `release` calls as `claim` calls were made. */
  claim(target: UpstreamTarget): UpstreamPool {
    const key = targetKey(target);
    let entry = this.#pools.get(key);
    if (entry === undefined) {
      const load = this.#loadOf(target);
      const isHop = target.sni !== "" && this.#environment.connector.negotiates;
      const pool = isHop ? new MeshPool(this, this.#environment, target, load) : new ConnectionPool(this, this.#environment, target, load);
      entry = { pool, claims: 0 };
      this.#pools.set(key, entry);
    }
    entry.claims++;
    entry.pool.revive();
    return entry.pool;
  }

  release(pool: UpstreamPool): void {
    const entry = this.#pools.get(targetKey(pool.target));
    if (entry === undefined || entry.pool !== pool || --entry.claims > 0) return;
    pool.drain();
    if (pool.connections === 0) this.retire(pool);
  }

  /** Pings to this address stay unanswered: whatever its connections were for, they are not relied on until they speak. */
  doubtAddress(address: string, port: number): void {
    for (const { pool } of [...this.#pools.values()]) {
      if (pool.target.address === address && pool.target.port === port) pool.doubt();
    }
  }

  /** A gateway at this address has announced its end. What is under way there goes on, and choosers pass it over while there is another. */
  drainAddress(address: string, port: number): void {
    this.#setLeaving(`${address}|${port}`, true);
  }

  /** A gateway that stays answers at this address. */
  restoreAddress(address: string, port: number): void {
    this.#setLeaving(`${address}|${port}`, false);
  }

  #setLeaving(key: string, isLeaving: boolean): void {
    if (isLeaving) this.#leaving.add(key);
    else this.#leaving.delete(key);
    const load = this.#loads.get(key);
    if (load !== undefined) load.leaving = isLeaving;
  }

  /** Gives up every idle connection and lets busy ones finish: our own identity or the trusted roots have changed. */
  renew(): void {
    for (const { pool } of this.#pools.values()) pool.renew();
  }

  /** Pools as they are now, for the admin page and metrics. */
  pools(): UpstreamPool[] {
    return [...this.#pools.values()].map((entry) => entry.pool);
  }

  mayHandshake(pool: UpstreamPool): boolean {
    if (this.#handshakes < this.#handshakesMax) return true;
    this.#wantHandshake.add(pool);
    return false;
  }

  mayAsk(): boolean {
    return this.#handshakes < this.#handshakesMax / 2;
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

  reachabilityChanged(): void {
    this.#changes++;
  }

  retire(pool: UpstreamPool): void {
    const key = targetKey(pool.target);
    const entry = this.#pools.get(key);
    if (entry?.pool !== pool || entry.claims > 0) return;
    this.#pools.delete(key);
    const isLastThere = !this.pools().some((other) => other.load === pool.load);
    if (isLastThere) this.#loads.delete(addressKey(pool.target));
  }

  #loadOf(target: UpstreamTarget): AddressLoad {
    const key = addressKey(target);
    const known = this.#loads.get(key);
    if (known !== undefined) return known;
    const load = new AddressLoad();
    load.leaving = this.#leaving.has(key);
    this.#loads.set(key, load);
    return load;
  }
}

interface PoolEntry {
  readonly pool: UpstreamPool;
  claims: number;
}

function addressKey(target: UpstreamTarget): string {
  return `${target.address}|${target.port}`;
}
