import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { createServerContextOptions, createServerTlsOptions } from "#federation/identity/tls-options.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { peerKey } from "#federation/runtime/unproved-connections.ts";
import type { LocalStall } from "../health/local-stall.ts";
import { drainWord, pingBytes } from "../health/ping-words.ts";
import { HandshakeGate } from "../tls/handshake-gate.ts";
import type { GatewayStats } from "./gateway-stats.ts";

/** Ping connections at a time: one of each proxy of the federation that calls into this cluster. */
export const pingConnectionsMax = 8_192;

/** A prober pings at least once a second; one that has been silent for so long is gone. */
const pingIdleMs = 60_000;
const handshakeTimeoutMs = 10_000;

/**
 * Answers pings with the gateway's own identity: whole nonces are echoed, and one word says that it drains. It asks for no
 * client certificate, since an echo gives nothing away and callers of every trust domain ping.
 */
export class PingResponder {
  readonly #server: Server;
  readonly #gate: HandshakeGate;
  readonly #stats: GatewayStats;
  readonly #open = new Set<TLSSocket>();
  /** All connections handed over, in their handshake or after it. */
  readonly #raw = new Set<Socket>();
  /** What ends the turn of each handshake. */
  readonly #shaking = new Map<string, () => void>();
  readonly #stall: LocalStall;
  #drains = false;

  constructor(svid: X509Svid, options: { readonly stats: GatewayStats; readonly stall: LocalStall }) {
    this.#stats = options.stats;
    this.#stall = options.stall;
    this.#gate = new HandshakeGate(options.stall);
    this.#server = createServer({ ...createServerTlsOptions({ svid, anchors: [] }, { clients: "none" }), handshakeTimeout: handshakeTimeoutMs });
    this.#server.on("secureConnection", (socket) => this.#serve(socket));
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
  }

  /** The next handshakes show this identity. */
  setIdentity(svid: X509Svid): void {
    this.#server.setSecureContext(createServerContextOptions({ svid, anchors: [] }));
  }

  /** Takes over a connection whose first bytes have been put back into it. */
  handle(socket: Socket): void {
    this.#raw.add(socket);
    socket.once("close", () => this.#raw.delete(socket));
    if (this.#open.size >= pingConnectionsMax || !this.#gate.enter({ start: (leave) => this.#handshake(socket, leave), end: () => socket.resetAndDestroy() })) socket.resetAndDestroy();
  }

  /** Tells every prober, and those that come later, that this gateway will end. Pings are answered as before. */
  announceDrain(): void {
    if (this.#drains) return;
    this.#drains = true;
    for (const socket of this.#open) socket.write(drainWord);
  }

  /** True while a prober is connected. */
  get hasProbers(): boolean {
    return this.#open.size > 0;
  }

  closeAll(): void {
    for (const socket of this.#raw) socket.destroySoon();
  }

  #handshake(socket: Socket, leave: () => void): void {
    if (socket.destroyed) {
      leave();
      return;
    }
    const key = peerKey(socket);
    this.#shaking.set(key, leave);
    socket.once("close", () => {
      if (this.#shaking.get(key) === leave) this.#shaking.delete(key);
      leave();
    });
    this.#server.emit("connection", socket);
  }

  #serve(socket: TLSSocket): void {
    const key = peerKey(socket);
    this.#shaking.get(key)?.();
    this.#shaking.delete(key);
    this.#open.add(socket);
    this.#stats.pingConnections++;
    let rest: Buffer = Buffer.alloc(0);
    let heardMs = this.#stall.awakeMs();
    const watch = (): void => {
      const leftMs = heardMs + pingIdleMs - this.#stall.awakeMs();
      if (leftMs < 1) socket.destroy();
      else idle = this.#stall.schedule(leftMs, watch);
    };
    let idle = this.#stall.schedule(pingIdleMs, watch);
    socket.setNoDelay(true);
    if (this.#drains) socket.write(drainWord);
    socket.on("data", (chunk: Buffer) => {
      heardMs = this.#stall.awakeMs();
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const whole = bytes.length - (bytes.length % pingBytes);
      rest = bytes.subarray(whole);
      if (whole === 0) return;
      this.#stats.pings += whole / pingBytes;
      // A client that pings without reading the answers would fill our memory: it waits instead.
      if (!socket.write(bytes.subarray(0, whole))) {
        socket.pause();
        socket.once("drain", () => socket.resume());
      }
    });
    socket.on("end", () => socket.end());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      idle[Symbol.dispose]();
      this.#open.delete(socket);
      this.#stats.pingConnections--;
    });
  }
}
