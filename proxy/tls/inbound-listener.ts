import { createServer as createTcpServer, type Server as TcpServer, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { createServerContextOptions, createServerTlsOptions, type TlsMaterial } from "#federation/identity/tls-options.ts";
import { LeafReadings } from "#federation/identity/leaf-readings.ts";
import { verifyPeer } from "#federation/identity/verify-peer.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { CallerRule, InboundPort, Snapshot } from "#federation/model/snapshot.ts";
import { isReservedPath, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { listen, portOf } from "#federation/runtime/listen.ts";
import { peerKey, UnprovedConnections } from "#federation/runtime/unproved-connections.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { hopProtocol } from "../hop/frames.ts";
import { HandshakeGate } from "./handshake-gate.ts";
import type { TlsContexts } from "./tls-contexts.ts";

/** A connection whose caller has been proved by its handshake. */
export interface InboundConnection {
  readonly socket: TLSSocket;
  /** In lower case. */
  readonly sni: string;
  readonly inbound: InboundPort;
  readonly callerId: SpiffeId;
  /** The caller's leaf, DER. */
  readonly callerCertificate: Buffer;
  /** Sends a TCP reset; `resetAndDestroy` of a TLS socket cannot. */
  reset(): void;
}

/** Whoever serves an accepted connection and can say no on it, in words. */
export interface RefusingServer {
  /** The caller has lost its right: ends what it does; from now on every request of it is refused. */
  revoke(): void;
}

/** Why an inbound connection was refused. */
export type InboundRefusal = "handshake" | "unknownName" | "peerUnverified" | "callerRefused" | "tooManyConnections" | "tooManyHandshakes" | "noIdentity";

/** Counters of the inbound side. */
export interface InboundStats {
  accepted: number;
  active: number;
  handshakes: number;
  /** Connections whose caller a new snapshot no longer lets call. */
  revoked: number;
  /** Open connections of callers that may not call, kept to tell them so. */
  refusedOpen: number;
  readonly refused: Map<InboundRefusal, number>;
}

export function createInboundStats(): InboundStats {
  return { accepted: 0, active: 0, handshakes: 0, revoked: 0, refusedOpen: 0, refused: new Map() };
}

export interface InboundListenerOptions {
  /** A literal IP address. */
  readonly address: string;
  readonly port: number;
  readonly contexts: TlsContexts;
  readonly snapshot: Watched<Snapshot>;
  /**
   * Takes an accepted connection over. On HTTP ports also one whose caller may not call, which judges each request again and
   * answers: a reset would look like a broken place. Undefined: there is nobody to say it, so a caller that loses its right is cut off.
   */
  readonly serve: (connection: InboundConnection) => RefusingServer | undefined;
  readonly stats: InboundStats;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connectionsMax?: number;
  readonly refusedConnectionsMax?: number;
}

const connectionsMaxDefault = 10_000;
/** Connections kept for callers that may not call. Their sidecars need one each to hear it; more would be room for strangers. */
const refusedConnectionsMaxDefault = 64;
const handshakeTimeoutMs = 10_000;

/** True when a rule names the caller, or all workloads of its trust domain, which the handshake proved. `/atoll/` identities are no workloads. */
export function isCallerAllowed(callers: readonly CallerRule[], callerId: SpiffeId): boolean {
  const trustDomain = trustDomainOf(callerId);
  return callers.some((rule) => rule.trustDomain === trustDomain && rule.principals.some((principal) => principal === callerId || (principal === "*" && !isReservedPath(callerId))));
}

/** Why the rules refuse a caller that `isCallerAllowed` does not let call, in words for an operator. */
export function refusingRule(callers: readonly CallerRule[], callerId: SpiffeId): string {
  const trustDomain = trustDomainOf(callerId);
  if (isReservedPath(callerId)) return "an identity of the mesh itself is no workload";
  return callers.some((rule) => rule.trustDomain === trustDomain) ? `the rule for ${trustDomain} names other workloads` : `no rule names ${trustDomain}`;
}

/**
 * The inbound side of a sidecar: mutual TLS ends here. The server name chooses the port, the handshake proves the
 * caller under constrained anchors, and only then the caller's right to that port is looked up. A new SVID or bundle
 * is used by the next handshake; what is open goes on unless its caller has lost its right.
 */
export class InboundListener {
  readonly #options: InboundListenerOptions;
  readonly #tcp: TcpServer;
  readonly #tls: TlsServer;
  readonly #gate: HandshakeGate;
  readonly #leaves = new LeafReadings();
  /** Connections from which nothing has come yet. */
  readonly #silent: UnprovedConnections;
  /** Connections in their handshake, by the remote address and port that tell them apart here. */
  readonly #shaking = new Map<string, { readonly raw: Socket; readonly leave: () => void }>();
  readonly #open = new Map<TLSSocket, OpenConnection>();
  #material: TlsMaterial;

  private constructor(options: InboundListenerOptions, material: TlsMaterial) {
    this.#options = options;
    this.#gate = new HandshakeGate(options.clock);
    this.#silent = new UnprovedConnections(options.clock);
    this.#material = material;
    this.#tcp = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#tls = createTlsServer({ ...createServerTlsOptions(material, { clients: "required" }), ALPNProtocols: [hopProtocol, "http/1.1"], handshakeTimeout: handshakeTimeoutMs, allowHalfOpen: true });
    this.#tls.on("secureConnection", (socket) => this.#secured(socket));
    this.#tls.on("tlsClientError", (error, socket) => {
      this.#refuse("handshake", { reason: error.message });
      socket.destroy();
    });
  }

  /** Listens; there must be a valid identity. @throws {ATOLL_PORT_TAKEN} */
  static async open(options: InboundListenerOptions, material: TlsMaterial): Promise<InboundListener> {
    const listener = new InboundListener(options, material);
    await listen(listener.#tcp, { host: options.address, port: options.port });
    return listener;
  }

  get port(): number {
    return portOf(this.#tcp);
  }

  /** Call when the SVID or the snapshot has changed: swaps the context and revokes connections whose caller lost its right. */
  refresh(): void {
    const material = this.#options.contexts.serverMaterial();
    if (material !== undefined && material !== this.#material) {
      this.#material = material;
      this.#tls.setSecureContext(createServerContextOptions(material));
    }
    const { inbound, bundles } = this.#options.snapshot.current;
    for (const [socket, open] of this.#open) {
      const { sni, callerId } = open;
      const port = inbound.get(sni);
      const isAllowed = port !== undefined && bundles.has(trustDomainOf(callerId)) && isCallerAllowed(port.callers, callerId);
      if (isAllowed === !open.refused) continue;
      if (isAllowed) this.#setRefused(open, false);
      else this.#revoke(socket, open);
    }
  }

  #revoke(socket: TLSSocket, open: OpenConnection): void {
    this.#options.stats.revoked++;
    if (open.server !== undefined && this.#mayRefuseMore()) {
      this.#setRefused(open, true);
      open.server.revoke();
      return;
    }
    open.raw.resetAndDestroy();
    socket.destroy();
  }

  #setRefused(open: OpenConnection, refused: boolean): void {
    if (open.refused === refused) return;
    open.refused = refused;
    this.#options.stats.refusedOpen += refused ? 1 : -1;
  }

  #mayRefuseMore(): boolean {
    return this.#options.stats.refusedOpen < (this.#options.refusedConnectionsMax ?? refusedConnectionsMaxDefault);
  }

  /** Accepts nothing new. Connections are their servers' to end. */
  close(): void {
    this.#tcp.close();
  }

  /** Resets what is still open. */
  destroyAll(): void {
    for (const { raw } of this.#shaking.values()) raw.destroy();
    for (const [socket, { raw }] of this.#open) {
      raw.resetAndDestroy();
      socket.destroy();
    }
  }

  #accept(raw: Socket): void {
    const { stats } = this.#options;
    raw.on("error", () => raw.destroy());
    if (stats.active >= (this.#options.connectionsMax ?? connectionsMaxDefault)) {
      const silent = this.#silent.giveWay();
      this.#reset(silent ?? raw, "tooManyConnections");
      if (silent === undefined) return;
    }
    if (this.#options.contexts.serverMaterial() === undefined) return this.#reset(raw, "noIdentity");
    stats.accepted++;
    stats.active++;
    this.#silent.add(raw);
    const silence = this.#options.clock.schedule(handshakeTimeoutMs, () => this.#reset(raw, "handshake"));
    raw.once("close", () => {
      silence[Symbol.dispose]();
      this.#silent.delete(raw);
      stats.active--;
    });
    // A turn begins with the first bytes: clients that connect and say nothing hold none.
    raw.once("readable", () => {
      silence[Symbol.dispose]();
      this.#silent.delete(raw);
      if (raw.destroyed) return;
      if (!this.#gate.enter({ start: (leave) => this.#handshake(raw, leave), end: () => this.#reset(raw, "handshake") })) this.#reset(raw, "tooManyHandshakes");
    });
  }

  #handshake(raw: Socket, leave: () => void): void {
    if (raw.destroyed) {
      leave();
      return;
    }
    const key = peerKey(raw);
    this.#options.stats.handshakes++;
    this.#shaking.set(key, { raw, leave });
    raw.once("close", () => {
      if (this.#shaking.get(key)?.raw === raw) this.#shaking.delete(key);
      leave();
    });
    this.#tls.emit("connection", raw);
  }

  #secured(socket: TLSSocket): void {
    const key = peerKey(socket);
    const shaking = this.#shaking.get(key);
    this.#shaking.delete(key);
    shaking?.leave();
    socket.on("error", () => socket.destroy());
    if (shaking === undefined) {
      socket.destroy();
      return;
    }
    const { raw } = shaking;
    const sni = typeof socket.servername === "string" ? socket.servername.toLowerCase() : "";
    const inbound = this.#options.snapshot.current.inbound.get(sni);
    if (inbound === undefined) return this.#drop(socket, "unknownName", { sni });
    const verdict = verifyPeer(socket, () => true, (der) => this.#leaves.read(der));
    if (verdict.kind === "refused") return this.#drop(socket, "peerUnverified", { sni, reason: verdict.reason });
    const callerId = verdict.spiffeId;
    const refused = !isCallerAllowed(inbound.callers, callerId);
    if (refused) {
      const facts = { sni, spiffeId: callerId, rule: refusingRule(inbound.callers, callerId) };
      if (inbound.port.protocol !== "http" || !this.#mayRefuseMore()) return this.#drop(socket, "callerRefused", facts);
      this.#options.logger.info("The requests of a caller are refused.", facts);
    }
    const open: OpenConnection = { sni, callerId, raw, refused: false, server: undefined };
    this.#setRefused(open, refused);
    this.#open.set(socket, open);
    socket.once("close", () => {
      this.#setRefused(open, false);
      this.#open.delete(socket);
    });
    const callerCertificate = socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0);
    open.server = this.#options.serve({ socket, sni, inbound, callerId, callerCertificate, reset: () => raw.resetAndDestroy() });
  }

  #drop(socket: TLSSocket, refusal: InboundRefusal, facts: Readonly<Record<string, string>>): void {
    this.#refuse(refusal, facts);
    socket.destroy();
  }

  #reset(raw: Socket, refusal: InboundRefusal): void {
    this.#refuse(refusal, {});
    if (!raw.destroyed) raw.resetAndDestroy();
  }

  #refuse(refusal: InboundRefusal, facts: Readonly<Record<string, string>>): void {
    const { refused } = this.#options.stats;
    refused.set(refusal, (refused.get(refusal) ?? 0) + 1);
    this.#options.logger.debug("An inbound connection was refused.", { refusal, ...facts });
  }
}

/** A connection that was handed over. */
interface OpenConnection {
  readonly sni: string;
  readonly callerId: SpiffeId;
  readonly raw: Socket;
  /** Its caller may not call, and is told so at each request. */
  refused: boolean;
  server: RefusingServer | undefined;
}
