import type { Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { adoptSocket } from "./adopt-socket.ts";
import type { Stage } from "./exchange.ts";
import type { HttpFault } from "./http-fault.ts";
import { httpFaults } from "./http-fault.ts";
import type { HttpLimits } from "./http-limits.ts";
import { defaultHttpLimits } from "./http-limits.ts";
import { noPriorities } from "./priority-claim.ts";
import { ServerConnection } from "./server-connection.ts";
import type { ClientIdentity, ServerEngine, ServerTimeouts } from "./server-connection.ts";
import { ServedConnections } from "./served-connections.ts";
import type { TimingWheel } from "./timing-wheel.ts";

/** Client connections that one listener holds; further ones are closed at once and counted. */
export const connectionsMax = 10_000;

/** Idle limits grow along the path (client 30 s < gateway 60 s < inbound 120 s), so that the side that would send next closes first. */
export const defaultServerTimeouts: ServerTimeouts = { idleMs: 120_000, headMs: 10_000 };

/** What a listener's HTTP side is made of. */
export interface HttpServerOptions {
  readonly stages: readonly Stage[];
  readonly clock: Clock;
  readonly wheel: TimingWheel;
  readonly httpLimits?: HttpLimits;
  readonly timeouts?: ServerTimeouts;
  readonly connectionsMax?: number;
  readonly logsFields?: boolean;
  /** The first class that a client without an identity may claim for its requests; none unless given. */
  readonly priorityMin?: number;
}

/** The HTTP side of a listener: takes sockets that are ready to be read, whoever accepted them. */
export class HttpServer implements ServerEngine {
  readonly stages: readonly Stage[];
  readonly clock: Clock;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly timeouts: ServerTimeouts;
  readonly logsFields: boolean;
  readonly priorityMin: number;
  readonly #connections: ServedConnections<ServerConnection>;
  readonly #faults = new Map<string, number>([...Object.keys(httpFaults), "head_timeout"].map((name) => [name, 0]));

  constructor(options: HttpServerOptions) {
    this.stages = options.stages;
    this.clock = options.clock;
    this.wheel = options.wheel;
    this.httpLimits = options.httpLimits ?? defaultHttpLimits;
    this.timeouts = options.timeouts ?? defaultServerTimeouts;
    this.logsFields = options.logsFields ?? false;
    this.priorityMin = options.priorityMin ?? noPriorities;
    this.#connections = new ServedConnections(options.connectionsMax ?? connectionsMax);
  }

  get draining(): boolean {
    return this.#connections.draining;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Connections refused because there were too many. */
  get refused(): number {
    return this.#connections.refused;
  }

  /** Refused messages by fault, for metrics. */
  get faults(): ReadonlyMap<string, number> {
    return this.#faults;
  }

  /**
   * Serves `socket`, which was made with `allowHalfOpen`; undefined when it was reset. While we drain, a sidecar's
   * connection is taken still, so that it is told in words to go elsewhere.
   */
  accept(socket: Socket, identity?: ClientIdentity): ServerConnection | undefined {
    if (this.#connections.isFull || (this.draining && identity === undefined)) {
      this.#connections.refuse(socket);
      return undefined;
    }
    const connection = new ServerConnection(this, socket, identity);
    this.#connections.add(connection);
    return connection;
  }

  /** Serves a plain socket that its server accepted with `pauseOnConnect`, reading it without the stream's detour. */
  adopt(accepted: Socket): void {
    if (this.#connections.isFull || this.draining) this.#connections.refuse(accepted);
    else this.#connections.add(new ServerConnection(this, { open: (onread) => adoptSocket(accepted, onread) }));
  }

  /** Ends idle connections now and busy ones after their response; resolves when none is left or `signal` aborts, which cuts the rest off. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#connections.drain(signal);
  }

  onFault(fault: HttpFault | "head_timeout"): void {
    this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
  }

  onClose(connection: ServerConnection): void {
    this.#connections.delete(connection);
  }
}
