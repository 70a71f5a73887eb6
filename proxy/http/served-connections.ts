import type { Socket } from "node:net";
import { resetSocket } from "./reset-socket.ts";

/** One of them, as far as its end goes. */
export interface Served {
  /** Takes nothing new, and ends when what is under way has. */
  drain(): void;
  destroy(): void;
}

/** The open connections of a server: so many at most, and all of them ended by a drain. */
export class ServedConnections<T extends Served> {
  readonly #max: number;
  readonly #open = new Set<T>();
  #draining = false;
  #whenEmpty: (() => void) | undefined;
  /** Connections refused, because there were too many or because we drain. */
  refused = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#open.size;
  }

  get isFull(): boolean {
    return this.#open.size >= this.#max;
  }

  get draining(): boolean {
    return this.#draining;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#open.values();
  }

  add(connection: T): void {
    this.#open.add(connection);
  }

  /** It has closed. */
  delete(connection: T): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#whenEmpty?.();
  }

  /** Counts a connection that is not to be served, and resets it. */
  refuse(socket: Socket): void {
    this.refused++;
    socket.on("error", () => undefined);
    resetSocket(socket);
  }

  /** Drains each; resolves when none is left or `signal` aborts, which cuts the rest off. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    for (const connection of [...this.#open]) connection.drain();
    if (this.#open.size > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    for (const connection of [...this.#open]) connection.destroy();
  }
}
