import type { Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";

/** One end of a relay. `reset` sends a TCP reset; on TLS it has to reach the socket below. */
export interface RelayEnd {
  readonly socket: Socket;
  reset(): void;
  /** For sockets that read into a buffer of their own (`onread`): calls `take` for what arrives. Absent: `data` events. */
  readonly deliverTo?: (take: (chunk: Buffer) => void) => void;
}

/** How a relay ended: both sides closed in order, one broke off, nothing flowed for too long, or its owner ended it. */
export type RelayOutcome = "ended" | "reset" | "idle" | "stopped";

/** What a relay needs besides its ends. */
export interface RelayOptions {
  readonly clock: Clock;
  /** No byte in either direction for so long ends the relay. Absent: whoever relays has no limit of its own, and finds dead peers by TCP keepalive. */
  readonly idleMs?: number;
  /** Bytes passed on, as they pass: `sent` from left to right, `received` from right to left. */
  readonly onBytes?: (sent: number, received: number) => void;
  readonly onEnd: (outcome: RelayOutcome) => void;
}

/** A running relay. */
export interface Relay {
  /** Ends both sides at once with a reset. */
  stop(): void;
}

/** A plain TCP socket as an end. */
export function plainEnd(socket: Socket): RelayEnd {
  return { socket, reset: () => socket.resetAndDestroy() };
}

/**
 * Joins two sockets until both directions have ended. Both must be opened with `allowHalfOpen`. A side that does not
 * take bytes pauses the other; an end in one direction is passed on as an end, and a reset as a reset, since the
 * other side could not tell a broken stream from a whole one by a clean end.
 */
export function relay(left: RelayEnd, right: RelayEnd, options: RelayOptions): Relay {
  let over = false;
  let openDirections = 2;
  let lastByteMs = options.clock.monotonicMs();
  let idleTimer: Disposable | undefined;

  const finish = (outcome: RelayOutcome): void => {
    if (over) return;
    over = true;
    idleTimer?.[Symbol.dispose]();
    if (outcome === "ended") {
      left.socket.destroySoon();
      right.socket.destroySoon();
    } else {
      resetOpen(left);
      resetOpen(right);
    }
    options.onEnd(outcome);
  };
  const watchIdle = (idleMs: number): void => {
    const leftMs = lastByteMs + idleMs - options.clock.monotonicMs();
    if (leftMs <= 0) finish("idle");
    else idleTimer = options.clock.schedule(leftMs, () => watchIdle(idleMs));
  };
  const join = (from: RelayEnd, to: RelayEnd, count: (length: number) => void): void => {
    const take = (chunk: Buffer): void => {
      if (over) return;
      if (options.idleMs !== undefined) lastByteMs = options.clock.monotonicMs();
      count(chunk.length);
      if (!to.socket.write(chunk)) from.socket.pause();
    };
    if (from.deliverTo === undefined) from.socket.on("data", take);
    else from.deliverTo(take);
    to.socket.on("drain", () => from.socket.resume());
    from.socket.on("end", () => {
      to.socket.end();
      if (--openDirections === 0) finish("ended");
    });
    from.socket.on("error", () => finish("reset"));
    // A close without an end before it is a broken connection whose error was told to someone else, or to nobody.
    from.socket.on("close", () => finish(openDirections === 0 ? "ended" : "reset"));
    // Its close event may be past already; told later, so that the owner has the relay in hand when it ends.
    if (from.socket.destroyed) queueMicrotask(() => finish("reset"));
  };

  join(left, right, (length) => options.onBytes?.(length, 0));
  join(right, left, (length) => options.onBytes?.(0, length));
  if (options.idleMs !== undefined) watchIdle(options.idleMs);
  left.socket.resume();
  right.socket.resume();
  return { stop: () => finish("stopped") };
}

function resetOpen(end: RelayEnd): void {
  if (!end.socket.destroyed) end.reset();
}
