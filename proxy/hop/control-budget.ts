/** What one frame that carries a message earns back. */
const earnedPerMessage = 8;
/** A piece of body earns one for so many bytes. */
const bytesPerEarned = 64;

/**
 * Bounds the frames that carry nothing (PING, WINDOW, RESET, empty and tiny DATA): a leaky bucket that time empties, and that
 * messages empty faster, since each may honestly bring some of them. Pure.
 */
export class ControlBudget {
  readonly #max: number;
  readonly #perMs: number;
  #spent = 0;
  #atMs = 0;

  constructor(framesMax: number, framesPerSecond: number) {
    this.#max = framesMax;
    this.#perMs = framesPerSecond / 1_000;
  }

  /** One more of them; false when they are too many. */
  spend(nowMs: number): boolean {
    this.#spent = Math.max(0, this.#spent - Math.max(0, nowMs - this.#atMs) * this.#perMs) + 1;
    this.#atMs = nowMs;
    return this.#spent <= this.#max;
  }

  /** A message began. */
  earnMessage(): void {
    this.#spent = Math.max(0, this.#spent - earnedPerMessage);
  }

  /** Bytes of a body came. */
  earnBytes(bytes: number): void {
    this.#spent = Math.max(0, this.#spent - bytes / bytesPerEarned);
  }
}
