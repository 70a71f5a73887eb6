import { createServer, type Server, type Socket } from "node:net";
import { defaultPriority } from "#federation/model/priority-class.ts";
import type { ServiceView } from "#federation/model/snapshot.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { LocalStall } from "../health/local-stall.ts";
import { throttled, Tries, type Candidate, type Chooser } from "../upstream/chooser.ts";
import type { Connector } from "../upstream/connector.ts";
import { connectOutcomes, evidenceOf } from "../upstream/outcome-evidence.ts";
import { ownFaultOf } from "../upstream/own-fault.ts";
import type { ConnectEnd } from "../upstream/upstream.ts";
import { plainEnd, relay, type Relay } from "./relay.ts";

/** Counters of one TCP listener. */
export interface TcpStats {
  connections: number;
  active: number;
  failures: number;
  retried: number;
  bytesSent: number;
  bytesReceived: number;
}

export function createTcpStats(): TcpStats {
  return { connections: 0, active: 0, failures: 0, retried: 0, bytesSent: 0, bytesReceived: 0 };
}

export interface TcpListenerOptions {
  /** A literal IP address, loopback usually. */
  readonly address: string;
  readonly port: number;
  /** The chooser of the service's port now; undefined while the service is unknown. */
  readonly chooser: () => { readonly chooser: Chooser; readonly policy: ServiceView["policy"] } | undefined;
  readonly connector: Connector;
  readonly clock: Clock;
  /** What this process slept counts against no place. */
  readonly stall: LocalStall;
  readonly stats: TcpStats;
  readonly connectionsMax?: number;
}

const connectionsMaxDefault = 4_096;
/** Places tried for one connection: bounded, since the application waits. */
const triesMax = 3;
const readBufferBytes = 65_536;

/** A plain TCP port of the sidecar that leads to one port of one service: each connection goes to the place that requests would go to. */
export class TcpListener {
  readonly #options: TcpListenerOptions;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(options: TcpListenerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  static async open(options: TcpListenerOptions): Promise<TcpListener> {
    const listener = new TcpListener(options);
    await listen(listener.#server, { host: options.address, port: options.port });
    return listener;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Accepts nothing new, waits up to `drainMs` for connections to end, then resets them. */
  async drain(drainMs: number): Promise<void> {
    const closed = closeServer(this.#server);
    const timer = this.#options.clock.schedule(drainMs, () => {
      for (const socket of this.#open) socket.resetAndDestroy();
    });
    await closed;
    timer[Symbol.dispose]();
  }

  #accept(client: Socket): void {
    const { stats } = this.#options;
    client.on("error", () => client.destroy());
    const route = this.#options.chooser();
    if (route === undefined || this.#open.size >= (this.#options.connectionsMax ?? connectionsMaxDefault)) {
      stats.failures++;
      client.resetAndDestroy();
      return;
    }
    stats.connections++;
    stats.active++;
    this.#open.add(client);
    client.once("close", () => {
      stats.active--;
      this.#open.delete(client);
    });
    this.#connect({ client, tries: new Tries(), triesLeft: triesMax, ...route });
  }

  #connect(attempt: Attempt): void {
    const { client, chooser, tries, policy } = attempt;
    const candidate = chooser.choose(tries, defaultPriority);
    if (candidate === undefined || candidate === throttled) {
      this.#options.stats.failures++;
      client.resetAndDestroy();
      return;
    }
    let take: (chunk: Buffer) => void = () => {};
    let proven = false;
    let end: ConnectEnd = "connect";
    const sinceMs = this.#options.clock.monotonicMs();
    const readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
    const upstream = this.#options.connector.connect(candidate.pool.target, {
      readBuffer,
      // The buffer is filled anew after this call, and a written chunk may wait: it gets bytes of its own.
      onBytes: (length, buffer) => take(Buffer.from(buffer.subarray(0, length))),
      nextBuffer: () => undefined,
      onReady: () => {},
      // Not before: in TLS 1.3 a server that refuses us is only heard after our side of the handshake, and bytes sent by
      // then could not be sent again.
      onProven: () => {
        proven = true;
        timer[Symbol.dispose]();
        client.off("close", onClientGone);
        upstream.off("end", onEnd);
        this.#relay(attempt, { candidate, upstream, deliverTo: (deliver) => void (take = deliver) });
      },
    });
    const onEnd = (): void => void upstream.destroy();
    upstream.on("end", onEnd);
    const timer = this.#options.stall.schedule(policy.timeouts.connectMs, () => {
      end = "timeout";
      upstream.destroy();
    });
    const onClientGone = (): void => void upstream.destroy();
    client.once("close", onClientGone);
    upstream.on("error", (error) => {
      if (ownFaultOf(error) !== undefined) end = "own";
      upstream.destroy();
    });
    upstream.once("close", () => {
      timer[Symbol.dispose]();
      client.off("close", onClientGone);
      if (proven) return;
      const span = { sinceMs, nowMs: this.#options.clock.monotonicMs() };
      chooser.report(candidate, client.destroyed ? "cancelled" : evidenceOf(connectOutcomes[end], this.#options.stall, span));
      this.#failed(attempt);
    });
  }

  /** No byte has left yet, so the connection may go to another place, whatever it carries. */
  #failed(attempt: Attempt): void {
    const { stats } = this.#options;
    if (attempt.client.destroyed) return;
    if (attempt.triesLeft <= 1) {
      stats.failures++;
      attempt.client.resetAndDestroy();
      return;
    }
    stats.retried++;
    this.#connect({ ...attempt, triesLeft: attempt.triesLeft - 1 });
  }

  #relay(attempt: Attempt, connected: Connected): void {
    const { stats, clock, stall } = this.#options;
    const { client, chooser, policy } = attempt;
    const sinceMs = clock.monotonicMs();
    const { upstream, deliverTo, candidate } = connected;
    let answered = false;
    const running: Relay = relay(
      plainEnd(client),
      // A TLS socket cannot send a reset itself; without one the far side sees an end without close_notify and treats it as broken.
      { socket: upstream, reset: () => upstream.destroy(), deliverTo },
      {
        clock,
        idleMs: policy.timeouts.idleMs,
        onBytes: (sent, received) => {
          if (received > 0) answered = true;
          stats.bytesSent += sent;
          stats.bytesReceived += received;
        },
        onEnd: (outcome) => {
          if (outcome === "reset") stats.failures++;
          chooser.report(candidate, outcome === "reset" && !answered ? evidenceOf("reset", stall, { sinceMs, nowMs: clock.monotonicMs() }) : "success");
        },
      },
    );
    client.once("close", () => running.stop());
  }
}

interface Attempt {
  readonly client: Socket;
  readonly chooser: Chooser;
  readonly policy: ServiceView["policy"];
  readonly tries: Tries;
  readonly triesLeft: number;
}

interface Connected {
  readonly candidate: Candidate;
  readonly upstream: Socket;
  readonly deliverTo: (take: (chunk: Buffer) => void) => void;
}
