import type { Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import type { LoadReport } from "../admission/load-report.ts";
import type { Stage } from "../http/exchange.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import { ServedConnections } from "../http/served-connections.ts";
import type { ClientIdentity } from "../http/server-connection.ts";
import type { TimingWheel } from "../http/timing-wheel.ts";
import { CalleeSession } from "./callee-session.ts";
import type { CalleeEngine } from "./callee-session.ts";
import type { HopLimits } from "./frames.ts";
import type { HopFault } from "./hop-link.ts";

/** Sessions that an inbound side holds: each caller's sidecar has one, seldom a few. */
export const sessionsMax = 4_096;

export interface HopServerOptions {
  readonly stages: readonly Stage[];
  readonly clock: Clock;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly hopLimits: HopLimits;
  readonly logsFields: boolean;
  readonly instance: string;
}

/** The hop's side of an inbound listener: takes connections whose handshake chose the hop's protocol. */
export class HopServer implements CalleeEngine {
  readonly stages: readonly Stage[];
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly hopLimits: HopLimits;
  readonly logsFields: boolean;
  readonly instance: string;
  readonly #clock: Clock;
  readonly #sessions = new ServedConnections<CalleeSession>(sessionsMax);
  /** Connections that ended because their caller broke the protocol, by how. */
  readonly faults = new Map<string, number>();
  /** Streams refused because their connection had too many. */
  streamsRefused = 0;

  constructor(options: HopServerOptions) {
    this.stages = options.stages;
    this.wheel = options.wheel;
    this.httpLimits = options.httpLimits;
    this.hopLimits = options.hopLimits;
    this.logsFields = options.logsFields;
    this.instance = options.instance;
    this.#clock = options.clock;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Connections refused because there were too many. */
  get refused(): number {
    return this.#sessions.refused;
  }

  /** Requests under way on all of them. */
  get streams(): number {
    let streams = 0;
    for (const session of this.#sessions) streams += session.streams;
    return streams;
  }

  /**
   * Serves `socket`; `report` says the load of the application that it leads to. Undefined when there are too many. While we
   * drain a connection is taken still, to say that none of its requests will be.
   */
  accept(socket: Socket, options: { readonly identity: ClientIdentity; readonly report: () => LoadReport }): CalleeSession | undefined {
    if (this.#sessions.isFull) {
      this.#sessions.refuse(socket);
      return undefined;
    }
    const session = new CalleeSession(this, socket, options);
    this.#sessions.add(session);
    if (this.#sessions.draining) session.drain();
    return session;
  }

  /** Every caller hears at once which requests were taken; resolves when those have ended or `signal` aborts, which cuts the rest off. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#sessions.drain(signal);
  }

  onHopFault(fault: HopFault): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  onStreamRefused(): void {
    this.streamsRefused++;
  }

  onClose(session: CalleeSession): void {
    this.#sessions.delete(session);
  }
}
