import { DeadlineStage } from "./deadline-stage.ts";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { listen, portOf } from "#federation/runtime/listen.ts";
import type { Random } from "#federation/runtime/random.ts";
import { createCircuitStage, createHeaderStage, createRouteStage, requestsInFlightMax } from "./edge-stages.ts";
import type { Route, Stage } from "./exchange.ts";
import { ForwardStage } from "./forward-stage.ts";
import type { HttpLimits } from "./http-limits.ts";
import { defaultHttpLimits } from "./http-limits.ts";
import { HttpServer } from "./http-server.ts";
import { noPriorities } from "./priority-claim.ts";
import { PriorityStage } from "./priority-stage.ts";
import type { ServerTimeouts } from "./server-connection.ts";
import type { TelemetryStage } from "./telemetry-stage.ts";
import type { TimingWheel } from "./timing-wheel.ts";

/** What an HTTP listener of either side needs. */
export interface EdgeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimingWheel;
  readonly telemetry: TelemetryStage;
  /** Comes as soon as the class of a request is known: refuses what this process has no time for. */
  readonly guard?: Stage;
  readonly httpLimits?: HttpLimits;
  readonly timeouts?: ServerTimeouts;
  readonly connectionsMax?: number;
}

/** What the outbound listener needs. */
export interface OutboundServerOptions extends EdgeOptions {
  /** A literal IP address, loopback usually. */
  readonly address: string;
  readonly port: number;
  /** The route that a Host field names now; `ownPort` is the one that this listens on. */
  readonly findRoute: (host: string, ownPort: number) => Route | undefined;
  /** To one service. */
  readonly requestsInFlightMax?: number;
  /** The mesh's edge, whose clients may say the class of their requests. */
  readonly isEdge?: boolean;
}

/**
 * Listening sockets on the port. The runtime accepts one connection of each in a turn of its loop: with a single one, a loop
 * that is late by 30 ms lets 33 newcomers a second in, and whoever else connects has left when his turn comes.
 */
const listenersCount = 32;
/**
 * Connections that wait to be accepted, on all of them: eight turns' worth. Fewer, and one of a burst of newcomers would find
 * its socket full, and knock again after a second. More would be a queue that nobody sheds, first come, first served, in which
 * users wait until they leave, and each connection costs as much as three requests on an open one.
 */
const backlogMax = 256;

/** The plain HTTP port on which an app calls services by their names. */
export class OutboundServer {
  readonly http: HttpServer;
  readonly priorities: PriorityStage;
  /** Requests that were not sent since their target would have refused them, by class. */
  readonly throttled: Float64Array;
  readonly #listeners: readonly Server[];

  private constructor(http: HttpServer, stages: { readonly priorities: PriorityStage; readonly forward: ForwardStage }, listeners: readonly Server[]) {
    this.http = http;
    this.priorities = stages.priorities;
    this.throttled = stages.forward.throttled;
    this.#listeners = listeners;
  }

  /** Listens. @throws {ATOLL_PORT_TAKEN} */
  static async open(options: OutboundServerOptions): Promise<OutboundServer> {
    const { clock, random, wheel, telemetry } = options;
    const limits = options.httpLimits ?? defaultHttpLimits;
    let ownPort = options.port;
    const priorities = new PriorityStage();
    const forward = new ForwardStage({ clock, wheel, limits });
    const http = new HttpServer({
      ...options,
      priorityMin: options.isEdge === true ? 0 : noPriorities,
      logsFields: telemetry.logsFields,
      stages: [
        telemetry,
        createRouteStage((x) => options.findRoute(x.host, ownPort)),
        priorities,
        ...(options.guard === undefined ? [] : [options.guard]),
        new DeadlineStage(wheel, clock),
        createHeaderStage(random),
        createCircuitStage(options.requestsInFlightMax ?? requestsInFlightMax),
        forward,
      ],
    });
    const listeners = await openListeners({ host: options.address, port: options.port }, (socket) => http.adopt(socket));
    const server = new OutboundServer(http, { priorities, forward }, listeners);
    ownPort = server.port;
    return server;
  }

  get port(): number {
    return portOf(this.#listeners[0] as Server);
  }

  /** Accepts nothing new, lets requests under way finish until `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    await this.http.drain(signal);
  }
}

/** @throws {ATOLL_PORT_TAKEN} */
async function openListeners(at: { readonly host: string; readonly port: number }, accept: (socket: Socket) => void): Promise<readonly Server[]> {
  const create = (): Server => createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, accept);
  const alone = create();
  await listen(alone, { ...at, backlog: backlogMax });
  // Elsewhere a port is not shared, or not evenly.
  if (process.platform !== "linux") return [alone];
  // The port was nobody's; sockets that share it would not tell us.
  const port = portOf(alone);
  alone.close();
  const listeners = Array.from({ length: listenersCount }, create);
  try {
    for (const listener of listeners) await listen(listener, { host: at.host, port, backlog: Math.ceil(backlogMax / listenersCount), reusePort: true });
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
  return listeners;
}
