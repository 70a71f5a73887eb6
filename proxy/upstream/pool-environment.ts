import type { Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { HopLimits } from "../hop/frames.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import type { TimingWheel } from "../http/timing-wheel.ts";
import type { Connector } from "./connector.ts";
import type { UpstreamPool } from "./upstream.ts";

/** Bounds of a pool. */
export interface PoolLimits {
  /** HTTP/1.1 connections to one target. */
  readonly connectionsMax: number;
  /** Requests that wait for a connection; more fail at once (UO). */
  readonly waitingMax: number;
  /** Shorter than the server's, so that we and not it end an idle connection: client 30 s < inbound 120 s. */
  readonly idleMs: number;
  /** The same towards an app (a plain hop): servers' own limits begin at 5 s (node:http, Apache). */
  readonly appIdleMs: number;
  /** A connection is not used for new requests after this ± 20 %, so that load moves to new gateways. */
  readonly ageMs: number;
  readonly connectMs: number;
  /** TLS handshakes in progress over all pools of a process: each costs both sides 0.5 to 1.2 ms of CPU. */
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
  readonly hopLimits?: HopLimits;
  /** Sessions that ended because their peer broke the protocol, by how; for metrics. */
  readonly hopFaults?: Map<string, number>;
  readonly silences?: SilenceCounts;
}

/** Silences of sessions: how many have begun, and in how many the session spoke again; for metrics. */
export interface SilenceCounts {
  begun: number;
  over: number;
}

/** What a pool has from whoever keeps all pools of a process: turns at handshakes, of which one that gets none now hears the next. */
export interface PoolKeeper {
  mayHandshake(pool: UpstreamPool): boolean;
  /** The same for a handshake that only asks whether something is back: requests keep half of the turns. */
  mayAsk(): boolean;
  handshakeBegan(): void;
  handshakeEnded(): void;
  /** A pool can be reached no more, or again. */
  reachabilityChanged(): void;
  /** A drained pool has closed its last connection. */
  retire(pool: UpstreamPool): void;
}
