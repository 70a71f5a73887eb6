import type { Socket } from "node:net";
import { resetSocket } from "./reset-socket.ts";

/** Who hears of what a tunnel carries, and of its end. */
export interface TunnelEvents {
  /** `count` bytes went from client to upstream. */
  onClientBytes(count: number): void;
  onUpstreamBytes(count: number): void;
  /** Both sides are closed; called once. */
  onEnd(): void;
}

/**
 * Bytes both ways between two sockets after an upgrade. Each end is passed on as what it was: an end as an end, a
 * reset as a reset. The side that writes faster than the other reads is paused.
 */
export class Tunnel {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #events: TunnelEvents;
  #closed = 0;

  constructor(client: Socket, upstream: Socket, events: TunnelEvents) {
    this.#client = client;
    this.#upstream = upstream;
    this.#events = events;
    client.on("drain", () => upstream.resume());
    upstream.on("drain", () => client.resume());
    client.on("end", () => upstream.end());
    upstream.on("end", () => client.end());
    client.on("close", (hadError) => this.#onClose(upstream, hadError));
    upstream.on("close", (hadError) => this.#onClose(client, hadError));
  }

  /** Bytes from the client. They must not change afterwards. */
  fromClient(bytes: Buffer): void {
    this.#events.onClientBytes(bytes.length);
    if (this.#upstream.writable && !this.#upstream.write(bytes)) this.#client.pause();
  }

  /** Bytes from upstream. They must not change afterwards. */
  fromUpstream(bytes: Buffer): void {
    this.#events.onUpstreamBytes(bytes.length);
    if (this.#client.writable && !this.#client.write(bytes)) this.#upstream.pause();
  }

  #onClose(other: Socket, hadError: boolean): void {
    this.#closed++;
    if (this.#closed === 2) {
      this.#events.onEnd();
      return;
    }
    if (hadError) resetSocket(other);
    else other.destroy();
  }
}
