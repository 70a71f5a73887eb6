import { abortedError } from "./clock.ts";
import { AsyncQueue } from "./async-queue.ts";

/** A value that others follow: the one way state flows between parts of a process. */
export interface Watched<T> {
  readonly current: T;
  /** Yields the current value at once, then the newest after each change. Conflates: a slow reader skips values, never queues them. Ends when `signal` aborts. */
  changes(signal: AbortSignal): AsyncIterable<T>;
}

/** A `Watched` with its writer's side. */
export class WatchedValue<T> implements Watched<T> {
  #current: T;
  readonly #readers = new Set<AsyncQueue<null>>();

  constructor(initial: T) {
    this.#current = initial;
  }

  get current(): T {
    return this.#current;
  }

  /** Publishes `next`. The same reference again is not a change. */
  set(next: T): void {
    if (Object.is(next, this.#current)) return;
    this.#current = next;
    for (const reader of this.#readers) reader.push(null);
  }

  async *changes(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    if (signal.aborted) return;
    // One slot is enough: a wake-up says "look again", and the value is read afterwards.
    const wakeUps = new AsyncQueue<null>({ capacity: 1 });
    this.#readers.add(wakeUps);
    try {
      yield this.#current;
      for await (const _ of wakeUps.drain(signal)) yield this.#current;
    } finally {
      this.#readers.delete(wakeUps);
    }
  }
}

/**
 * Resolves with the first value, the current one included, for which `holds`.
 * @throws {ATOLL_ABORTED} when `signal` aborts first.
 */
export async function until<T>(watched: Watched<T>, holds: (value: T) => boolean, signal: AbortSignal): Promise<T> {
  for await (const value of watched.changes(signal)) if (holds(value)) return value;
  throw abortedError(signal);
}

/** What `map` makes of `source`, followed with it. `map` should give the same reference for what did not change. */
export function mapWatched<T, U>(source: Watched<T>, map: (value: T) => U): Watched<U> {
  return {
    get current() {
      return map(source.current);
    },
    async *changes(signal) {
      let last: { readonly value: U } | undefined;
      for await (const value of source.changes(signal)) {
        const next = map(value);
        if (last !== undefined && Object.is(last.value, next)) continue;
        last = { value: next };
        yield next;
      }
    },
  };
}
