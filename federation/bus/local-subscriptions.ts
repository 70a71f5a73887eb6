import { AsyncQueue } from "#federation/runtime/async-queue.ts";
import type { BusMessage } from "./bus.ts";
import { subscriptionQueueMax, type BusObserver } from "./bus-observer.ts";
import { createSubjectMatcher, type SubjectMatcher } from "./subject.ts";

/** One reader of a bus in this process. */
export interface LocalSubscription {
  readonly id: number;
  readonly pattern: string;
  readonly matches: SubjectMatcher;
  readonly queue: AsyncQueue<BusMessage>;
}

/** The subscriptions of one bus object, kept over reconnects. */
export class LocalSubscriptions {
  readonly #observer: BusObserver;
  readonly #byId = new Map<number, LocalSubscription>();
  #count = 0;

  constructor(observer: BusObserver) {
    this.#observer = observer;
  }

  /** @throws {ATOLL_BUS_MESSAGE_INVALID} when `pattern` is not one. */
  add(pattern: string): LocalSubscription {
    const subscription: LocalSubscription = {
      id: ++this.#count,
      pattern,
      matches: createSubjectMatcher(pattern),
      queue: new AsyncQueue({ capacity: subscriptionQueueMax, onDrop: () => this.#observer.dropped(1) }),
    };
    this.#byId.set(subscription.id, subscription);
    return subscription;
  }

  get(id: number): LocalSubscription | undefined {
    return this.#byId.get(id);
  }

  all(): Iterable<LocalSubscription> {
    return this.#byId.values();
  }

  /** Ends the reader and forgets it. */
  remove(subscription: LocalSubscription): void {
    this.#byId.delete(subscription.id);
    subscription.queue.end();
  }

  removeAll(): void {
    for (const subscription of this.#byId.values()) this.remove(subscription);
  }

  /** Messages of `subscription` until `signal` aborts or it is removed; `onEnd` runs in every case. */
  async *read(subscription: LocalSubscription, signal: AbortSignal, onEnd: () => void): AsyncGenerator<BusMessage, void, undefined> {
    try {
      yield* subscription.queue.drain(signal);
    } finally {
      this.remove(subscription);
      onEnd();
    }
  }
}
