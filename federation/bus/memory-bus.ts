import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Bus, BusMessage, BusState } from "./bus.ts";
import { silentBusObserver, type BusObserver } from "./bus-observer.ts";
import { LocalSubscriptions } from "./local-subscriptions.ts";
import { PendingReplies } from "./pending-replies.ts";
import { checkMessage } from "./subject.ts";

/** A message on its way; `answer` carries the reply back to a request. */
interface MemoryMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly answer: (payload: Uint8Array) => void;
}

/**
 * Decides about each message between two buses of a hub: it is delivered as often and as late as the list says
 * (delays in ms; an empty list loses it). For simulations.
 */
export type MemoryFaults = (message: { readonly from: string; readonly to: string; readonly subject: string }) => readonly number[];

/** The place where the buses of one process meet. */
export class MemoryHub {
  readonly #clock: Clock;
  readonly #buses = new Set<MemoryBus>();
  /** May be exchanged at any time; faultless at first. */
  faults: MemoryFaults = () => [0];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A bus at this hub; `name` is what `faults` sees. */
  open(name: string, observer: BusObserver = silentBusObserver): MemoryBus {
    const bus = new MemoryBus(name, this.#clock, observer, {
      send: (message) => this.#send(name, message),
      leave: () => void this.#buses.delete(bus),
    });
    this.#buses.add(bus);
    return bus;
  }

  /** How many subscriptions the message goes to, lost or not. */
  #send(from: string, message: MemoryMessage): number {
    let interested = 0;
    for (const bus of this.#buses) {
      if (!bus.wants(message.subject)) continue;
      interested++;
      for (const delayMs of this.faults({ from, to: bus.name, subject: message.subject })) {
        if (delayMs === 0) queueMicrotask(() => bus.receive(message));
        else this.#clock.schedule(delayMs, () => bus.receive(message));
      }
    }
    return interested;
  }
}

interface HubSide {
  send(message: MemoryMessage): number;
  leave(): void;
}

/** `Bus` within one process: tests and the seeded simulation. */
export class MemoryBus implements Bus {
  readonly name: string;
  readonly #hub: HubSide;
  readonly #observer: BusObserver;
  readonly #state = new WatchedValue<BusState>("connected");
  readonly #subscriptions: LocalSubscriptions;
  readonly #replies: PendingReplies;
  #isClosed = false;

  constructor(name: string, clock: Clock, observer: BusObserver, hub: HubSide) {
    this.name = name;
    this.#hub = hub;
    this.#observer = observer;
    this.#subscriptions = new LocalSubscriptions(observer);
    this.#replies = new PendingReplies(clock);
  }

  get state(): Watched<BusState> {
    return this.#state;
  }

  /** Cuts this bus off from its hub, or joins it again, as a broken connection would. */
  setConnected(isConnected: boolean): void {
    if (this.#isClosed || isConnected === (this.#state.current === "connected")) return;
    this.#state.set(isConnected ? "connected" : "disconnected");
    if (isConnected) this.#observer.reconnected();
    else this.#replies.refuseAll("the bus was disconnected");
  }

  publish(subject: string, payload: Uint8Array): void {
    checkMessage(subject, payload);
    if (this.#state.current === "disconnected") this.#observer.dropped(1);
    else this.#hub.send({ subject, payload: new Uint8Array(payload), answer() {} });
  }

  subscribe(pattern: string, signal: AbortSignal): AsyncIterable<BusMessage> {
    const subscription = this.#subscriptions.add(pattern);
    if (signal.aborted || this.#isClosed) this.#subscriptions.remove(subscription);
    return this.#subscriptions.read(subscription, signal, () => undefined);
  }

  request(subject: string, payload: Uint8Array, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#replies.wait(timeoutMs, signal, (token) => {
      checkMessage(subject, payload);
      if (this.#state.current === "disconnected") throw new AtollError("ATOLL_BUS_UNAVAILABLE", "the bus is disconnected");
      const answer = (reply: Uint8Array): void => queueMicrotask(() => this.#replies.answer(token, new Uint8Array(reply)));
      const interested = this.#hub.send({ subject, payload: new Uint8Array(payload), answer });
      if (interested === 0) throw new AtollError("ATOLL_BUS_UNAVAILABLE", `nobody answers on ${subject}`);
    });
  }

  /** For the hub. */
  wants(subject: string): boolean {
    if (this.#state.current === "disconnected") return false;
    for (const subscription of this.#subscriptions.all()) if (subscription.matches(subject)) return true;
    return false;
  }

  /** For the hub. */
  receive(message: MemoryMessage): void {
    if (this.#state.current === "disconnected") return;
    const { subject, payload, answer } = message;
    for (const subscription of this.#subscriptions.all()) {
      if (subscription.matches(subject)) subscription.queue.push({ subject, payload, reply: answer });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) {
      this.setConnected(false);
      this.#isClosed = true;
      this.#hub.leave();
      this.#subscriptions.removeAll();
    }
    return Promise.resolve();
  }
}
