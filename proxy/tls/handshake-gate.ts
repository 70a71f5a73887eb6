import type { Clock } from "#federation/runtime/clock.ts";

/**
 * Handshakes at a time. Each costs about half a millisecond of CPU and waits for a round trip of its client: the bound is
 * for the 64 ms of work that this many bring at once, and leaves room for callers that fail over from far away (ADR 10).
 */
export const handshakesMax = 128;

/** Handshakes that may wait for their turn; beyond it a connection is refused at once rather than late. */
export const handshakesWaitingMax = 1_024;

/** Handshakes whose turn is over, and that their clients have not brought to an end; one more, and the oldest is ended. */
export const handshakesLingeringMax = 1_024;

/** A handshake that takes longer waits for its client, and costs nothing meanwhile: its turn is over. */
export const handshakeTurnMs = 250;

/** A handshake that is to begin. */
export interface Handshake {
  /** Begins it. `leave` is called at its end, whatever that is; calling it again does nothing. */
  start(leave: () => void): void;
  /** Ends it, to make room for others. */
  end(): void;
}

/** How many of what a gate lets be. */
export interface HandshakeLimits {
  readonly active: number;
  readonly waiting: number;
  readonly lingering: number;
  readonly turnMs: number;
}

export const defaultHandshakeLimits: HandshakeLimits = { active: handshakesMax, waiting: handshakesWaitingMax, lingering: handshakesLingeringMax, turnMs: handshakeTurnMs };

/**
 * Bounds the handshakes that begin together; the rest wait in order of arrival. A turn is for a handshake's work and not for its client's
 * silence, so that strangers who begin and say no more keep nobody out for longer than a turn.
 */
export class HandshakeGate {
  readonly #clock: Pick<Clock, "schedule">;
  readonly #limits: HandshakeLimits;
  readonly #waiting: Handshake[] = [];
  /** In order of their beginning. */
  readonly #lingering = new Set<Handshake>();
  #active = 0;

  constructor(clock: Pick<Clock, "schedule">, limits: HandshakeLimits = defaultHandshakeLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get lingering(): number {
    return this.#lingering.size;
  }

  /** Starts `handshake` now or later. False when too many wait. */
  enter(handshake: Handshake): boolean {
    if (this.#active >= this.#limits.active) {
      if (this.#waiting.length >= this.#limits.waiting) return false;
      this.#waiting.push(handshake);
      return true;
    }
    this.#run(handshake);
    return true;
  }

  #run(handshake: Handshake): void {
    this.#active++;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      timer[Symbol.dispose]();
      this.#active--;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#run(next);
    };
    const timer = this.#clock.schedule(this.#limits.turnMs, () => {
      this.#linger(handshake);
      release();
    });
    handshake.start(() => {
      this.#lingering.delete(handshake);
      release();
    });
  }

  #linger(handshake: Handshake): void {
    const [oldest] = this.#lingering;
    if (oldest !== undefined && this.#lingering.size >= this.#limits.lingering) {
      this.#lingering.delete(oldest);
      oldest.end();
    }
    this.#lingering.add(handshake);
  }
}
