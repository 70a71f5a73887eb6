import { connect } from "node:net";
import type { OnReadOpts, Socket } from "node:net";
import type { SpiffeId } from "#federation/model/names.ts";

/** Where connections of one pool lead, and who must answer there. */
export interface UpstreamTarget {
  /** A literal IP address: names are never resolved on the request path. */
  readonly address: string;
  readonly port: number;
  /** Server name of the TLS handshake; empty for a plain TCP hop (a sidecar and its own app). */
  readonly sni: string;
  /** Exactly these identities may answer; empty for a plain TCP hop. */
  readonly identities: readonly SpiffeId[];
  /** What is offered by ALPN, best first; absent where the handshake says nothing of it (TCP services, pings). */
  readonly protocols?: readonly string[];
}

/** What a connection under way tells its owner. All calls come after `connect` has returned. */
export interface ConnectHandler {
  /** The buffer of the first read. One per socket, never shared. */
  readonly readBuffer: Buffer;
  /** `length` bytes have arrived at the start of `buffer`. */
  onBytes(length: number, buffer: Buffer): void;
  /** Asked after each `onBytes`: another buffer for the next read, or undefined to keep this one. */
  nextBuffer(): Buffer | undefined;
  /** Requests may be written: TCP is connected, or TLS is and the peer's identity was checked. */
  onReady(): void;
  /** The server has accepted us: its first byte or a TLS 1.3 session ticket arrived. At once on a plain hop. */
  onProven(): void;
}

/** Opens connections. TLS, identities and handshake verification live behind it. */
export interface Connector {
  /** Its handshakes choose a protocol of those that the target names. Without, every hop is HTTP/1.1. */
  readonly negotiates: boolean;
  /**
   * Starts a connection and returns its socket at once. A failure destroys the socket, which its owner sees as
   * `error` and `close` without an `onReady` before. The socket is created with `allowHalfOpen`, no delay, and
   * `onread: readInto(handler)`.
   */
  connect(target: UpstreamTarget, handler: ConnectHandler): Socket;
}

/** Plain TCP: the hop from a sidecar to its own app, and tests. */
export const plainConnector: Connector = {
  negotiates: false,
  connect(target, handler) {
    const socket = connect({
      host: target.address,
      port: target.port,
      allowHalfOpen: true,
      autoSelectFamily: false,
      noDelay: true,
      onread: readInto(handler),
    });
    socket.once("connect", () => {
      handler.onReady();
      handler.onProven();
    });
    return socket;
  },
};

/**
 * The `onread` option (of `net.connect` and `tls.connect`) that reads into the handler's buffers. While bytes of a
 * buffer are still on their way to a client, the handler gives another one, so that a read never overwrites them.
 */
export function readInto(handler: ConnectHandler): OnReadOpts {
  let isFirst = true;
  return {
    // Node keeps the present buffer when this gives none, which its type does not say.
    buffer: () => {
      if (!isFirst) return handler.nextBuffer() as Buffer;
      isFirst = false;
      return handler.readBuffer;
    },
    callback: (length, buffer) => {
      handler.onBytes(length, buffer as Buffer);
      return true;
    },
  };
}

/** One string per pool: equal targets share connections, and no others do. */
export function targetKey(target: UpstreamTarget): string {
  return `${target.address}|${target.port}|${target.sni}|${[...target.identities].sort().join(",")}`;
}
