/**
 * Which requests were in flight when. The start of every open request and start and end of the newest `capacity`
 * finished ones are kept, so that the question can be asked a little after the moment. Times are wall-clock ms.
 */
export class InFlightLog {
  readonly #capacity: number;
  readonly #open = new Map<number, number>();
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  #finished = 0;
  #nextId = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#starts = new Float64Array(capacity);
    this.#ends = new Float64Array(capacity);
  }

  get current(): number {
    return this.#open.size;
  }

  /** Returns the id to give to `end`. */
  begin(atMs: number): number {
    const id = this.#nextId++;
    this.#open.set(id, atMs);
    return id;
  }

  end(id: number, atMs: number): void {
    const startMs = this.#open.get(id);
    if (startMs === undefined) return;
    this.#open.delete(id);
    const slot = this.#finished++ % this.#capacity;
    this.#starts[slot] = startMs;
    this.#ends[slot] = atMs;
  }

  /** Requests that had begun by `atMs` and had not ended. O(capacity). */
  countAt(atMs: number): number {
    let count = 0;
    for (const startMs of this.#open.values()) if (startMs <= atMs) count++;
    for (let slot = 0; slot < Math.min(this.#finished, this.#capacity); slot++) {
      if ((this.#starts[slot] ?? 0) <= atMs && (this.#ends[slot] ?? 0) > atMs) count++;
    }
    return count;
  }
}
