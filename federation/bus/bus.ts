import type { Watched } from "#federation/runtime/watched.ts";

/** One message. `reply` answers a request and does nothing for a plain publication. */
export interface BusMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  reply(payload: Uint8Array): void;
}

export type BusState = "connected" | "disconnected";

/**
 * Transport between planes. It may lose, duplicate, reorder and forget (DESIGN §6); nothing may rest on its
 * acknowledgement. Subjects follow NATS: tokens split by ".", `*` matches one token and a last `>` one or more.
 */
export interface Bus extends AsyncDisposable {
  readonly state: Watched<BusState>;
  /** Sends without waiting. @throws {ATOLL_BUS_OVERLOADED} when the bounded outgoing buffer is full. */
  publish(subject: string, payload: Uint8Array): void;
  /** Messages from now on; a slow reader loses the newest beyond the adapter's bound (counted). Survives reconnects. */
  subscribe(pattern: string, signal: AbortSignal): AsyncIterable<BusMessage>;
  /** @throws {ATOLL_BUS_TIMEOUT | ATOLL_BUS_UNAVAILABLE} */
  request(subject: string, payload: Uint8Array, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array>;
}
