import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { Bus, BusMessage, BusState } from "./bus.ts";
import { silentBusObserver, type BusObserver } from "./bus-observer.ts";
import { LocalSubscriptions } from "./local-subscriptions.ts";
import { PendingReplies } from "./pending-replies.ts";
import { connectOptions, formatSocketAddress, type SocketAddress } from "./socket-address.ts";
import { encodeFrame, SocketFrameReader, socketProtocolVersion, type SocketFrame } from "./socket-frames.ts";
import { checkMessage } from "./subject.ts";

/** How to reach a socket hub. */
export interface SocketBusOptions {
  readonly address: SocketAddress;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observer?: BusObserver;
}

/** Bytes that may wait for the hub; beyond it `publish` throws. */
const outgoingBytesMax = 16 * 1024 * 1024;
const pingIntervalMs = 5_000;
/** A hub that answers neither pings nor anything else for this long is taken for gone. */
const silenceMsMax = 15_000;
const reconnectMsMin = 50;
const reconnectMsMax = 2_000;
/** The subscription that answers to requests come to; readers' numbers begin at 1. */
const inboxId = 0;

/**
 * Opens a bus at a socket hub. Returns at once: the connection is made, and made again, in the background, and
 * `state` follows it. While disconnected, publications are dropped and counted.
 */
export function openSocketBus(options: SocketBusOptions): Bus {
  return new SocketBus(options);
}

class SocketBus implements Bus {
  readonly #options: SocketBusOptions;
  readonly #observer: BusObserver;
  readonly #state = new WatchedValue<BusState>("disconnected");
  readonly #subscriptions: LocalSubscriptions;
  readonly #replies: PendingReplies;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  /** Answers to requests come to this subject and a token; unguessable, since any client may publish to it. */
  readonly #inbox = `_INBOX.${randomBytes(12).toString("hex")}`;
  #socket: Socket | undefined;

  constructor(options: SocketBusOptions) {
    this.#options = options;
    this.#observer = options.observer ?? silentBusObserver;
    this.#subscriptions = new LocalSubscriptions(this.#observer);
    this.#replies = new PendingReplies(options.clock);
    this.#ended = this.#stayConnected();
  }

  get state(): Watched<BusState> {
    return this.#state;
  }

  publish(subject: string, payload: Uint8Array): void {
    checkMessage(subject, payload);
    this.#publish(subject, "", payload);
  }

  subscribe(pattern: string, signal: AbortSignal): AsyncIterable<BusMessage> {
    const subscription = this.#subscriptions.add(pattern);
    if (signal.aborted || this.#closing.signal.aborted) this.#subscriptions.remove(subscription);
    else this.#send({ kind: "subscribe", id: subscription.id, pattern });
    return this.#subscriptions.read(subscription, signal, () => this.#send({ kind: "unsubscribe", id: subscription.id }));
  }

  request(subject: string, payload: Uint8Array, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#replies.wait(timeoutMs, signal, (token) => {
      checkMessage(subject, payload);
      if (this.#socket === undefined) throw new AtollError("ATOLL_BUS_UNAVAILABLE", "the bus is disconnected");
      this.#publish(subject, `${this.#inbox}.${token}`, payload);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#subscriptions.removeAll();
    await this.#ended;
  }

  #publish(subject: string, replyTo: string, payload: Uint8Array): void {
    if (this.#socket === undefined) {
      this.#observer.dropped(1);
      return;
    }
    if (this.#socket.writableLength > outgoingBytesMax) {
      this.#observer.dropped(1);
      throw new AtollError("ATOLL_BUS_OVERLOADED", `${outgoingBytesMax} bytes already wait for the hub`);
    }
    this.#send({ kind: "publish", subject, replyTo, payload });
  }

  #send(frame: SocketFrame): void {
    if (this.#socket?.writable === true) this.#socket.write(encodeFrame(frame));
  }

  async #stayConnected(): Promise<void> {
    const { clock, random, logger, address } = this.#options;
    const signal = this.#closing.signal;
    let waitMs = reconnectMsMin;
    let hasBeenConnected = false;
    while (!signal.aborted) {
      const reason = await this.#connectOnce(() => {
        waitMs = reconnectMsMin;
        if (hasBeenConnected) this.#observer.reconnected();
        hasBeenConnected = true;
      });
      if (signal.aborted) break;
      logger.debug("the connection to the bus hub ended and is made again", { address: formatSocketAddress(address), reason });
      await sleep(clock, jittered(random, waitMs, 0.5), signal).catch(() => undefined);
      waitMs = Math.min(waitMs * 2, reconnectMsMax);
    }
    this.#replies.refuseAll("the bus is closed");
  }

  /** Resolves with the reason when the connection has ended. */
  #connectOnce(onConnected: () => void): Promise<string> {
    return new Promise((resolve) => {
      const { clock } = this.#options;
      const socket = connect(connectOptions(this.#options.address));
      const frames = new SocketFrameReader();
      let reason = "closed by the hub";
      let lastHeardMs = clock.monotonicMs();
      const onAbort = (): void => void socket.destroy();
      const pings = this.#every(pingIntervalMs, () => {
        if (clock.monotonicMs() - lastHeardMs > silenceMsMax) {
          reason = `no answer for ${silenceMsMax} ms`;
          socket.destroy();
        } else if (this.#socket === socket) this.#send({ kind: "ping" });
      });
      this.#closing.signal.addEventListener("abort", onAbort, { once: true });
      socket.on("connect", () => socket.write(encodeFrame({ kind: "hello", version: socketProtocolVersion })));
      socket.on("data", (chunk: Buffer) => {
        lastHeardMs = clock.monotonicMs();
        try {
          for (const frame of frames.push(chunk)) {
            if (frame.kind === "hello") this.#greeted(socket, frame.version, onConnected);
            else this.#receive(frame);
          }
        } catch (error) {
          reason = describeError(error);
          socket.destroy();
        }
      });
      socket.on("error", (error) => {
        reason = error.message;
      });
      socket.on("close", () => {
        this.#closing.signal.removeEventListener("abort", onAbort);
        pings[Symbol.dispose]();
        this.#socket = undefined;
        this.#state.set("disconnected");
        this.#replies.refuseAll("the connection to the bus was lost");
        resolve(reason);
      });
    });
  }

  #greeted(socket: Socket, version: number, onConnected: () => void): void {
    if (version !== socketProtocolVersion) throw new Error(`the hub speaks version ${version}`);
    this.#socket = socket;
    this.#send({ kind: "subscribe", id: inboxId, pattern: `${this.#inbox}.*` });
    for (const { id, pattern } of this.#subscriptions.all()) this.#send({ kind: "subscribe", id, pattern });
    onConnected();
    this.#state.set("connected");
  }

  #receive(frame: SocketFrame): void {
    if (frame.kind === "nobody") {
      this.#replies.refuse(this.#tokenOf(frame.replyTo), "nobody answers on that subject");
    } else if (frame.kind === "message" && frame.id === inboxId) {
      // A copy: the bytes are a view of a chunk that may hold much else.
      this.#replies.answer(this.#tokenOf(frame.subject), new Uint8Array(frame.payload));
    } else if (frame.kind === "message") {
      const { subject, replyTo } = frame;
      const reply = (payload: Uint8Array): void => {
        if (replyTo === "") return;
        checkMessage(replyTo, payload);
        this.#publish(replyTo, "", payload);
      };
      this.#subscriptions.get(frame.id)?.queue.push({ subject, payload: new Uint8Array(frame.payload), reply });
    }
  }

  #tokenOf(replyTo: string): string {
    return replyTo.slice(this.#inbox.length + 1);
  }

  #every(intervalMs: number, action: () => void): Disposable {
    let timer: Disposable;
    const arm = (): Disposable =>
      this.#options.clock.schedule(intervalMs, () => {
        action();
        timer = arm();
      });
    timer = arm();
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }
}
