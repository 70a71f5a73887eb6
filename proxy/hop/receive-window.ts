/** What a peer may still send. Beyond this an allowance is no number that anybody means (RFC 9113 §6.9.1 has the same bound). */
export const windowMax = 0x7fff_ffff;

/**
 * How much a peer may send, and when to allow it more. A window that is used up faster than two round trips holds the sender
 * back: it doubles, up to its bound, and so follows bandwidth × delay; a reader who does not read lets nothing grow. Pure.
 */
export class ReceiveWindow {
  readonly #min: number;
  readonly #max: number;
  #size: number;
  #left: number;
  #taken = 0;
  #announcedMs = 0;

  constructor(min: number, max: number) {
    this.#min = min;
    this.#max = max;
    this.#size = min;
    this.#left = min;
  }

  get size(): number {
    return this.#size;
  }

  /** As at first; for a stream that is used again. */
  reset(nowMs: number): void {
    this.#size = this.#min;
    this.#left = this.#min;
    this.#taken = 0;
    this.#announcedMs = nowMs;
  }

  /** Counts what has arrived; false when that was more than allowed. */
  receive(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** Counts what its reader has taken. Returns by how much the peer's allowance is to be raised now, 0 while that can wait. */
  take(bytes: number, nowMs: number, roundTripMs: number): number {
    this.#taken += bytes;
    if (this.#taken * 2 < this.#size) return 0;
    const growth = nowMs - this.#announcedMs < 2 * roundTripMs ? Math.min(this.#size, this.#max - this.#size) : 0;
    const raised = this.#taken + growth;
    this.#size += growth;
    this.#left += raised;
    this.#taken = 0;
    this.#announcedMs = nowMs;
    return raised;
  }
}
