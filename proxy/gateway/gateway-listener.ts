import { connect, createServer, type Server, type Socket } from "node:net";
import type { EndpointView, GatewayRoute } from "#federation/model/snapshot.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { UnprovedConnections } from "#federation/runtime/unproved-connections.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { LocalStall } from "../health/local-stall.ts";
import { plainEnd, relay, type Relay } from "../tcp/relay.ts";
import { ClientHelloReader } from "./client-hello.ts";
import { EndpointPicker } from "./endpoint-picker.ts";
import { countRefusal, type GatewayRefusal, type GatewayStats } from "./gateway-stats.ts";
import type { PingResponder } from "./ping-responder.ts";

/** Bounds of a gateway. */
export interface GatewayLimits {
  /** Also the bound on what is quiet: a spliced connection lives as long as its ends want it, and policies set limits there. */
  readonly connectionsMax: number;
  /** From accepting a connection to the end of its ClientHello. */
  readonly helloMs: number;
  readonly connectMs: number;
  /** Quiet for so long, the kernel asks either side whether it is still there; ten unanswered probes a second apart end the connection. */
  readonly keepAliveMs: number;
  /** Between saying that it drains and closing the port, at most half of the drain: those who have not heard yet still get in. */
  readonly announceMs: number;
}

export const defaultGatewayLimits: GatewayLimits = { connectionsMax: 10_000, helloMs: 10_000, connectMs: 2_000, keepAliveMs: 30_000, announceMs: 1_000 };

export interface GatewayListenerOptions {
  /** A literal IP address. */
  readonly address: string;
  readonly port: number;
  /** The newest export table, by SNI in lower case. */
  readonly routes: () => ReadonlyMap<string, GatewayRoute>;
  /** The one reserved name, answered here and never passed on. */
  readonly ping: { readonly sni: string; readonly responder: PingResponder };
  readonly stats: GatewayStats;
  readonly clock: Clock;
  /** What this process slept is not taken for the silence of callers or endpoints. */
  readonly stall: LocalStall;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: GatewayLimits;
}

/** A fatal TLS 1.2-framed alert, unrecognized_name (RFC 6066 §3), so that callers see more than a closed connection. */
const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/**
 * The east-west gateway: reads the server name of each connection, looks it up in the exact table of this cluster's
 * exports, and splices bytes to one of the service's endpoints. It never decrypts what it passes on, and a name is
 * never a reason to trust.
 */
export class GatewayListener {
  readonly #server: Server;
  readonly #options: GatewayListenerOptions;
  readonly #limits: GatewayLimits;
  readonly #picker: EndpointPicker;
  readonly #relays = new Set<Relay>();
  /** Connections that are not pings, from their acceptance to their end. */
  readonly #passing = new Set<Socket>();
  /** Those whose hello has not come whole. */
  readonly #unnamed: UnprovedConnections;
  #onPassed: (() => void) | undefined;

  private constructor(options: GatewayListenerOptions) {
    this.#options = options;
    this.#limits = options.limits ?? defaultGatewayLimits;
    this.#picker = new EndpointPicker(options.random);
    this.#unnamed = new UnprovedConnections(options.clock);
    const { keepAliveMs } = this.#limits;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }, (socket) => this.#accept(socket));
  }

  /** Listens. @throws {ATOLL_PORT_TAKEN} */
  static async open(options: GatewayListenerOptions): Promise<GatewayListener> {
    const listener = new GatewayListener(options);
    await listen(listener.#server, { host: options.address, port: options.port });
    return listener;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /**
   * Says to every prober that this gateway will end, accepts on for a moment so that nobody who has not heard it is turned
   * away, then accepts nothing new, lets connections end by themselves until `drainMs` are over, and resets the rest.
   */
  async drain(drainMs: number): Promise<void> {
    const { ping, clock } = this.#options;
    ping.responder.announceDrain();
    const announceMs = ping.responder.hasProbers ? Math.min(this.#limits.announceMs, drainMs / 2) : 0;
    if (announceMs > 0) await new Promise<void>((resolve) => void clock.schedule(announceMs, resolve));
    const closed = closeServer(this.#server);
    const timer = clock.schedule(drainMs - announceMs, () => {
      for (const running of this.#relays) running.stop();
      for (const socket of this.#passing) if (!socket.destroyed) socket.resetAndDestroy();
    });
    // Probers hear that this gateway is there for as long as it carries something.
    this.#onPassed = () => ping.responder.closeAll();
    if (this.#passing.size === 0) this.#onPassed();
    await closed;
    timer[Symbol.dispose]();
  }

  #accept(socket: Socket): void {
    const { stats, stall } = this.#options;
    if (stats.active >= this.#limits.connectionsMax) {
      const unnamed = this.#unnamed.giveWay();
      this.#refuse(unnamed ?? socket, "tooManyConnections");
      if (unnamed === undefined) return;
    }
    stats.accepted++;
    stats.active++;
    this.#passing.add(socket);
    this.#unnamed.add(socket);
    const reader = new ClientHelloReader();
    const timer = stall.schedule(this.#limits.helloMs, () => this.#refuse(socket, "helloTimeout"));
    const settle = (): void => {
      timer[Symbol.dispose]();
      this.#unnamed.delete(socket);
      socket.off("data", onData);
      socket.off("end", onEnd);
    };
    const onEnd = (): void => this.#refuse(socket, "malformed");
    const onData = (chunk: Buffer): void => {
      const reading = reader.push(chunk);
      if (reading.kind === "more") return;
      settle();
      socket.pause();
      if (reading.kind === "refused") this.#refuse(socket, reading.fault);
      else this.#route(socket, reading.sni, reader.bytes);
    };
    socket.on("data", onData);
    socket.on("end", onEnd);
    // Whoever serves the connection later hears the same error; without any listener it would end the process.
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      settle();
      stats.active--;
      this.#passed(socket);
    });
  }

  #passed(socket: Socket): void {
    this.#passing.delete(socket);
    if (this.#passing.size === 0) this.#onPassed?.();
  }

  #route(socket: Socket, sni: string, hello: Buffer): void {
    const { ping, routes } = this.#options;
    if (sni === ping.sni) {
      socket.unshift(hello);
      ping.responder.handle(socket);
      this.#passed(socket);
      return;
    }
    const route = routes().get(sni);
    if (route === undefined) {
      this.#options.logger.debug("A connection asked for a name that is not exported.", { sni });
      countRefusal(this.#options.stats, "unknownName");
      // Bytes that arrived and were never read would turn the end into a reset and the alert would be lost.
      socket.resume();
      socket.end(unrecognizedName);
      socket.destroySoon();
      return;
    }
    this.#connect(socket, { route, hello, failed: undefined });
  }

  #connect(socket: Socket, attempt: { readonly route: GatewayRoute; readonly hello: Buffer; readonly failed: EndpointView | undefined }): void {
    const { stats, stall } = this.#options;
    const { connectMs, keepAliveMs } = this.#limits;
    const endpoint = this.#picker.pick(attempt.route.endpoints, attempt.failed);
    if (endpoint === undefined) {
      this.#refuse(socket, "noEndpoint");
      return;
    }
    const held = this.#picker.hold(endpoint);
    const upstream = connect({ host: endpoint.address, port: endpoint.port, allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs, autoSelectFamily: false });
    const timer = stall.schedule(connectMs, () => upstream.destroy());
    const onClientGone = (): void => void upstream.destroy();
    socket.once("close", onClientGone);
    let connected = false;
    upstream.on("error", () => upstream.destroy());
    upstream.once("close", () => {
      timer[Symbol.dispose]();
      held[Symbol.dispose]();
      socket.off("close", onClientGone);
      if (connected || socket.destroyed) return;
      stats.connectFailures++;
      if (attempt.failed !== undefined) {
        this.#refuse(socket, "connectFailed");
        return;
      }
      stats.retried++;
      this.#connect(socket, { ...attempt, failed: endpoint });
    });
    upstream.once("connect", () => {
      connected = true;
      timer[Symbol.dispose]();
      socket.off("close", onClientGone);
      this.#splice(socket, upstream, attempt.hello);
    });
  }

  #splice(socket: Socket, upstream: Socket, hello: Buffer): void {
    const { stats, clock } = this.#options;
    upstream.write(hello);
    stats.bytesIn += hello.length;
    const running = relay(plainEnd(socket), plainEnd(upstream), {
      clock,
      onBytes: (sent, received) => {
        stats.bytesIn += sent;
        stats.bytesOut += received;
      },
      onEnd: (outcome) => {
        if (outcome === "reset") stats.resets++;
        this.#relays.delete(running);
      },
    });
    this.#relays.add(running);
  }

  /** A reset, not an end: the caller tries elsewhere at once. */
  #refuse(socket: Socket, refusal: GatewayRefusal): void {
    countRefusal(this.#options.stats, refusal);
    if (!socket.destroyed) socket.resetAndDestroy();
  }
}
