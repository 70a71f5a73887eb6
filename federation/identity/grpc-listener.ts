import type { Socket } from "node:net";
import { createServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { ServerCredentials, type Server } from "@grpc/grpc-js";
import { AtollError } from "#federation/runtime/errors.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { boundConnections } from "#federation/runtime/bound-connections.ts";
import { readSvidLeaf } from "./certificate-reader.ts";
import { createServerContextOptions, createServerTlsOptions, type AcceptIdentity, type TlsMaterial } from "./tls-options.ts";
import { handshakeFault, verifyPeer } from "./verify-peer.ts";

/** How a gRPC server is reached and by whom. */
export interface GrpcListenerOptions {
  /** The services; the listener hands it connections and never binds it. Its owner shuts it down. */
  readonly server: Server;
  /** A literal IP address. */
  readonly address: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** New connections use the newest value; while it is undefined they are refused. There must be one at opening. */
  readonly material: Watched<TlsMaterial | undefined>;
  /** "none" only where a token in the request proves the caller. */
  readonly clients: "required" | "none";
  /** Which callers may connect at all; each method still judges its own caller. Not asked when clients are not required. */
  readonly accept: AcceptIdentity;
  /** Most connections at a time, see `boundConnections`. Default 10,000: a cluster's proxies hold one each. */
  readonly connectionsMax?: number;
  /** For the root of first contact, see `createServerContextOptions`. */
  readonly presentedRoot?: Uint8Array;
  /** Hears of each refused connection, with the reason; for logs and counters. */
  readonly onRefused?: (reason: string) => void;
}

/** A listening gRPC port. Disposing stops accepting and closes its connections after `drainMs`. */
export interface GrpcListener extends AsyncDisposable {
  readonly port: number;
}

/** How long a handshake may take; slow ones hold memory and nothing else. */
const handshakeTimeoutMs = 10_000;
const drainMs = 1_000;

/**
 * Serves grpc-js over a TLS server of our own, so that the SVID and the anchors can be swapped without a restart: grpc-js' own
 * server credentials are fixed at binding. Calls learn their caller from `peerOfCall`.
 * @throws {ATOLL_PEER_UNVERIFIED} when there is no material yet; the platform's error when the port cannot be bound.
 */
export async function openGrpcListener(options: GrpcListenerOptions, signal: AbortSignal): Promise<GrpcListener> {
  const first = options.material.current;
  if (first === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "a listener opens only after the first identity");
  // The injector's own credentials stay insecure because TLS ends before it: it sees decrypted HTTP/2.
  const injector = options.server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer({
    ...createServerTlsOptions(first, {
      clients: options.clients,
      alpn: ["h2"],
      ...(options.presentedRoot === undefined ? {} : { presentedRoot: options.presentedRoot }),
    }),
    handshakeTimeout: handshakeTimeoutMs,
  });
  const { connectionsMax = 10_000, onRefused } = options;
  boundConnections(listener, { max: connectionsMax, provedBy: options.clients === "required" ? "handshake" : "request", clock: systemClock, ...(onRefused === undefined ? {} : { onRefused }) });
  const refuse = (socket: TLSSocket, reason: string): void => {
    options.onRefused?.(reason);
    socket.destroy();
  };
  listener.on("tlsClientError", (error, socket) => options.onRefused?.(handshakeFault(error, socket)));
  listener.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    if (options.material.current === undefined) return refuse(socket, "there is no current identity to serve with");
    if (socket.alpnProtocol !== "h2") return refuse(socket, "the client does not speak HTTP/2");
    if (options.clients === "required") {
      const verdict = verifyPeer(socket, options.accept);
      if (verdict.kind === "refused") return refuse(socket, verdict.reason);
    }
    injector.injectConnection(socket);
  });
  const sockets = new Set<Socket>();
  listener.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // All may come at once, after a cut, while the loop is busy with the first of them. Whom the system has no room for (the platform asks
  // it for 511) tries again after one second, then two, then four. It gives net.core.somaxconn at most.
  await listen(listener, { host: options.address, port: options.port, backlog: connectionsMax });
  const closing = new AbortController();
  const following = follow(listener, options, AbortSignal.any([signal, closing.signal]));
  let closed: Promise<void> | undefined;
  return {
    port: portOf(listener),
    [Symbol.asyncDispose]: () =>
      (closed ??= (async () => {
        closing.abort();
        await following;
        const ended = closeServer(listener);
        injector.drain(drainMs);
        // What has not become HTTP/2 yet, or does not go by itself, is cut.
        const timer = systemClock.schedule(drainMs, () => sockets.forEach((socket) => socket.destroy()));
        await ended;
        timer[Symbol.dispose]();
        injector.destroy();
      })()),
  };
}

async function follow(listener: TlsServer, options: GrpcListenerOptions, signal: AbortSignal): Promise<void> {
  for await (const material of options.material.changes(signal)) {
    if (material !== undefined) listener.setSecureContext(createServerContextOptions(material, options.presentedRoot));
  }
}

/** The caller's identity as the handshake proved it, or undefined on a listener that takes clients without certificates. */
export function peerOfCall(call: { getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Buffer } | undefined } }): SpiffeId | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const reading = readSvidLeaf(certificate.raw);
  return reading.kind === "svid" ? reading.spiffeId : undefined;
}
