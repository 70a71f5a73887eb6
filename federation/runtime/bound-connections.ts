import type { Socket } from "node:net";
import type { Server } from "node:tls";
import type { Clock } from "./clock.ts";
import { peerKey, UnprovedConnections } from "./unproved-connections.ts";

/** How many connections a TLS port has. */
export interface ConnectionBound {
  readonly max: number;
  /** What proves a caller: its handshake, or nothing that TLS knows of, such as a token in a request. */
  readonly provedBy: "handshake" | "request";
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Hears why a connection was ended. */
  readonly onRefused?: (reason: string) => void;
}

/**
 * Holds `server` to so many connections. One that comes when there are as many takes the place of the oldest that has proved nothing for
 * some time, if there is one, and is ended otherwise. The platform's own bound would refuse whoever comes, also those who can prove
 * themselves, for as long as strangers hold the places.
 */
export function boundConnections(server: Server, { max, provedBy, clock, onRefused }: ConnectionBound): void {
  const open = new Map<string, Socket>();
  const unproved = new UnprovedConnections(clock);
  server.on("connection", (socket: Socket) => {
    if (open.size >= max) {
      const other = unproved.giveWay();
      onRefused?.(other === undefined ? `${max} connections are open` : "a connection that proved nothing gave way to another");
      (other ?? socket).destroy();
      if (other === undefined) return;
    }
    const key = peerKey(socket);
    open.set(key, socket);
    unproved.add(socket);
    socket.once("close", () => {
      if (open.get(key) === socket) open.delete(key);
      unproved.delete(socket);
    });
  });
  if (provedBy === "handshake") {
    server.on("secureConnection", (secured) => {
      const socket = open.get(peerKey(secured));
      if (socket !== undefined) unproved.delete(socket);
    });
  }
}
