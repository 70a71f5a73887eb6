import { DeadlineStage } from "./deadline-stage.ts";
import { createServer } from "node:net";
import type { Server } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { listen, portOf } from "#federation/runtime/listen.ts";
import type { Random } from "#federation/runtime/random.ts";
import { createCircuitStage, createHeaderStage, createRouteStage, requestsInFlightMax } from "./edge-stages.ts";
import type { Route, Stage } from "./exchange.ts";
import { ForwardStage } from "./forward-stage.ts";
import type { HttpLimits } from "./http-limits.ts";
import { defaultHttpLimits } from "./http-limits.ts";
import { HttpServer } from "./http-server.ts";
import type { ServerTimeouts } from "./server-connection.ts";
import type { TelemetryStage } from "./telemetry-stage.ts";
import type { TimingWheel } from "./timing-wheel.ts";

/** What an HTTP listener of either side needs. */
export interface EdgeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimingWheel;
  readonly telemetry: TelemetryStage;
  /** Comes first: refuses what this process has no time for. */
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
  /** The route that a Host field names now. */
  readonly findRoute: (host: string) => Route | undefined;
  /** To one service. */
  readonly requestsInFlightMax?: number;
  /** More processes may listen on the same port. */
  readonly reusePort?: boolean;
}

/** The plain HTTP port on which an app calls services by their names. */
export class OutboundServer {
  readonly http: HttpServer;
  readonly #listener: Server;

  private constructor(http: HttpServer) {
    this.http = http;
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => http.adopt(socket));
  }

  /** Listens. @throws {ATOLL_PORT_TAKEN} */
  static async open(options: OutboundServerOptions): Promise<OutboundServer> {
    const { clock, random, wheel, telemetry } = options;
    const limits = options.httpLimits ?? defaultHttpLimits;
    const http = new HttpServer({
      ...options,
      logsFields: telemetry.logsFields,
      stages: [
        telemetry,
        ...(options.guard === undefined ? [] : [options.guard]),
        createRouteStage((x) => options.findRoute(x.host)),
        new DeadlineStage(wheel, clock),
        createHeaderStage(random),
        createCircuitStage(options.requestsInFlightMax ?? requestsInFlightMax),
        new ForwardStage({ clock, wheel, limits }),
      ],
    });
    const server = new OutboundServer(http);
    await listen(server.#listener, { host: options.address, port: options.port, backlog: 511, reusePort: options.reusePort ?? false });
    return server;
  }

  get port(): number {
    return portOf(this.#listener);
  }

  /** Accepts nothing new, lets requests under way finish until `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#listener.close();
    await this.http.drain(signal);
  }
}
