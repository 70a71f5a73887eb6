import { connect } from "node:tls";
import { CallCredentials, ChannelCredentials, type ChannelOptions, type experimental } from "@grpc/grpc-js";
import { AtollError } from "#federation/runtime/errors.ts";
import { createClientTlsOptions, type ClientTlsOptions } from "./tls-options.ts";

/**
 * Credentials of a gRPC channel whose identity and anchors may change while it lives: `current` is asked at each new connection,
 * and undefined (no SVID yet, or an expired one) makes the connection fail and be tried again by the channel's own backoff.
 * Connections that exist go on; close the channel to drop them. No host name is sent unless `servername` says one.
 */
export function createGrpcCredentials(current: () => ClientTlsOptions | undefined): ChannelCredentials {
  return new MeshChannelCredentials(current);
}

/** grpc-js takes custom credentials only as subclasses of its own class. */
class MeshChannelCredentials extends ChannelCredentials {
  readonly #current: () => ClientTlsOptions | undefined;

  constructor(current: () => ClientTlsOptions | undefined) {
    super();
    this.#current = current;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(_target: unknown, _options: ChannelOptions, callCredentials?: CallCredentials): experimental.SecureConnector {
    return {
      connect: (socket) => secure(socket, this.#current()),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy() {},
    };
  }
}

type PlainSocket = Parameters<experimental.SecureConnector["connect"]>[0];

function secure(socket: PlainSocket, options: ClientTlsOptions | undefined): Promise<experimental.SecureConnectResult> {
  return new Promise((resolve, reject) => {
    if (options === undefined) {
      socket.destroy();
      reject(new AtollError("ATOLL_PEER_UNAVAILABLE", "there is no current identity to connect with"));
      return;
    }
    const secured = connect({ ...createClientTlsOptions({ ...options, alpn: ["h2"] }), socket });
    const onClose = (): void => reject(new AtollError("ATOLL_PEER_UNAVAILABLE", "the connection closed during the handshake"));
    const onError = (error: Error): void => reject(error);
    secured.once("close", onClose);
    secured.once("error", onError);
    secured.once("secureConnect", () => {
      secured.off("close", onClose);
      secured.off("error", onError);
      resolve({ socket: secured, secure: true });
    });
  });
}
