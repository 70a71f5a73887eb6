/**
 * Handshakes at a time. Each costs about half a millisecond of CPU and waits for a round trip of its client: the bound is
 * for the 64 ms of work that this many bring at once, and leaves room for callers that fail over from far away (ADR 0010).
 */
export const handshakesMax = 128;

/** Handshakes that may wait for their turn; beyond it a connection is refused at once rather than late. */
export const handshakesWaitingMax = 1_024;

/** Bounds the handshakes in progress; the rest wait in order of arrival. */
export class HandshakeGate {
  readonly #limits: { readonly active: number; readonly waiting: number };
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  constructor(limits: { readonly active: number; readonly waiting: number } = { active: handshakesMax, waiting: handshakesWaitingMax }) {
    this.#limits = limits;
  }

  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs `start` now or later with a function that ends its turn (calling it again does nothing). False when too many wait. */
  enter(start: (leave: () => void) => void): boolean {
    if (this.#active >= this.#limits.active) {
      if (this.#waiting.length >= this.#limits.waiting) return false;
      this.#waiting.push(() => this.#run(start));
      return true;
    }
    this.#run(start);
    return true;
  }

  #run(start: (leave: () => void) => void): void {
    this.#active++;
    let left = false;
    start(() => {
      if (left) return;
      left = true;
      this.#active--;
      this.#waiting.shift()?.();
    });
  }
}
