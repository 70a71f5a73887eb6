import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/**
 * Ends a connection so that its peer cannot take what came for everything: by a TCP reset. A TLS socket cannot send
 * one (Node refuses); destroying it sends no close_notify, and messages on mesh hops carry their own length anyway.
 */
export function resetSocket(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
