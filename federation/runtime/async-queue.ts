/** Bound of an `AsyncQueue`, and who hears of what did not fit. */
export interface AsyncQueueOptions<T> {
  readonly capacity: number;
  readonly onDrop?: (dropped: T) => void;
}

/**
 * A bounded hand-over from callbacks to one `for await` reader. When full, the newest item is dropped and
 * `onDrop` hears of it; whoever needs every item must treat a drop as a gap and read the state again.
 */
export class AsyncQueue<T> {
  readonly #capacity: number;
  readonly #onDrop: ((dropped: T) => void) | undefined;
  #items: T[] = [];
  /** Taken out for the reader, which has not come to them yet. */
  #inHand = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: AsyncQueueOptions<T>) {
    this.#capacity = options.capacity;
    this.#onDrop = options.onDrop;
  }

  /** Items that wait for the reader. */
  get size(): number {
    return this.#items.length + this.#inHand;
  }

  /** False when the item was dropped because the queue is full or has ended. */
  push(item: T): boolean {
    if (this.#ended || this.#items.length >= this.#capacity) {
      this.#onDrop?.(item);
      return false;
    }
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /** The reader finishes after the items that are already queued. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader throws `error` after the items that are already queued. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.end();
  }

  /** Items in order, until `end`, `fail` or `signal`. One reader at a time. */
  async *drain(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    const onAbort = (): void => this.#wake?.();
    signal.addEventListener("abort", onAbort);
    try {
      for (;;) {
        if (signal.aborted) return;
        const batch = this.#items;
        if (batch.length > 0) {
          this.#items = [];
          this.#inHand = batch.length;
          for (const item of batch) {
            if (signal.aborted) return;
            this.#inHand--;
            yield item;
          }
          continue;
        }
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      if (this.#failure !== undefined) throw this.#failure.error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#inHand = 0;
    }
  }
}
