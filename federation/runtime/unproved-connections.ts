import type { Socket } from "node:net";
import type { Clock } from "./clock.ts";

/** A connection that has been there for so long, in ms, and has not proved whose it is gives way to another when a port is full. */
export const unprovedGraceMs = 2_000;

/** By which the plain and the encrypted end of one connection know each other, on one listening port. */
export function peerKey({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress}|${remotePort}`;
}

/**
 * The connections of a port that have not proved whose they are, in order of their coming. Strangers who connect and say nothing cost
 * nothing and would fill the port: when it is full, the oldest of them goes. Not before `unprovedGraceMs`, so that many who come together
 * and are served as fast as can be do not push each other out.
 */
export class UnprovedConnections {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #sinceMs = new Map<Socket, number>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  add(socket: Socket): void {
    this.#sinceMs.set(socket, this.#clock.monotonicMs());
  }

  /** It has proved whose it is, or is gone. */
  delete(socket: Socket): void {
    this.#sinceMs.delete(socket);
  }

  /** Lets go of the one to be ended for another that comes; undefined when nobody has had time enough. */
  giveWay(): Socket | undefined {
    const [oldest] = this.#sinceMs;
    if (oldest === undefined || this.#clock.monotonicMs() - oldest[1] < unprovedGraceMs) return undefined;
    this.#sinceMs.delete(oldest[0]);
    return oldest[0];
  }
}
