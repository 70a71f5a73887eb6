import { randomBytes } from "node:crypto";
import { connect, DebugEvents, Events, type Msg, type NatsConnection, type Subscription } from "nats";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { Bus, BusMessage, BusState } from "./bus.ts";
import { silentBusObserver, type BusObserver } from "./bus-observer.ts";
import { LocalSubscriptions, type LocalSubscription } from "./local-subscriptions.ts";
import { natsTlsOptions, type NatsTls } from "./nats-tls.ts";
import { PendingReplies } from "./pending-replies.ts";
import { checkMessage } from "./subject.ts";

/** How to reach NATS. */
export interface NatsBusOptions {
  /** `tls://host:port` or `nats://host:port`, the own region's first. */
  readonly servers: readonly string[];
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** Asked anew for every connection, so that a rotated certificate is used from the next one on. */
  readonly tls?: () => NatsTls;
  /** First token of the private inbox: what this client is permitted to subscribe to for answers. */
  readonly inboxPrefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observer?: BusObserver;
}

/** Bytes not yet seen by the server; beyond it `publish` throws. The client itself would buffer without bound. */
const outgoingBytesMax = 16 * 1024 * 1024;
/** nats.js's default of 2 minutes would notice a half-open connection only after minutes. */
const pingIntervalMs = 5_000;
const pingsUnansweredMax = 2;
const connectTimeoutMs = 3_000;
const reconnectMs = 250;
const drainMsMax = 1_000;
/**
 * Planes say a heartbeat each second. Where none is heard for so long, the server may be cut from those of the others and go on to serve,
 * and another one is tried. The first, the own region's, is left after twice as long each time in a row: while nobody else is there, a
 * plane does not wander about.
 */
const silentMs = { min: 10_000, firstMax: 640_000 } as const;

/**
 * Opens a bus on NATS. Returns at once: the connection is made, and made again for ever, in the background, and
 * `state` follows it. While disconnected, publications are dropped and counted.
 */
export function openNatsBus(options: NatsBusOptions): Bus {
  return new NatsBus(options);
}

class NatsBus implements Bus {
  readonly #options: NatsBusOptions;
  readonly #observer: BusObserver;
  readonly #state = new WatchedValue<BusState>("disconnected");
  readonly #subscriptions: LocalSubscriptions;
  readonly #replies: PendingReplies;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  readonly #inbox: string;
  /** What stands for a local subscription at the server, for the connection there is. */
  readonly #remote = new Map<LocalSubscription, Subscription>();
  #connection: NatsConnection | undefined;
  #hasHeard = false;
  #unflushedBytes = 0;
  #isFlushing = false;

  constructor(options: NatsBusOptions) {
    this.#options = options;
    this.#observer = options.observer ?? silentBusObserver;
    this.#subscriptions = new LocalSubscriptions(this.#observer);
    this.#replies = new PendingReplies(options.clock);
    this.#inbox = `${options.inboxPrefix}.${randomBytes(12).toString("hex")}`;
    this.#ended = this.#stayConnected();
  }

  get state(): Watched<BusState> {
    return this.#state;
  }

  publish(subject: string, payload: Uint8Array): void {
    checkMessage(subject, payload);
    this.#publish(subject, payload);
  }

  subscribe(pattern: string, signal: AbortSignal): AsyncIterable<BusMessage> {
    const subscription = this.#subscriptions.add(pattern);
    if (signal.aborted || this.#closing.signal.aborted) this.#subscriptions.remove(subscription);
    else if (this.#connection !== undefined) this.#attach(this.#connection, subscription);
    return this.#subscriptions.read(subscription, signal, () => {
      this.#remote.get(subscription)?.unsubscribe();
      this.#remote.delete(subscription);
    });
  }

  request(subject: string, payload: Uint8Array, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#replies.wait(timeoutMs, signal, (token) => {
      checkMessage(subject, payload);
      if (this.#state.current === "disconnected") throw new AtollError("ATOLL_BUS_UNAVAILABLE", "the bus is disconnected");
      this.#publish(subject, payload, `${this.#inbox}.${token}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#subscriptions.removeAll();
    await this.#ended;
  }

  #publish(subject: string, payload: Uint8Array, replyTo?: string): void {
    const connection = this.#connection;
    if (connection === undefined || this.#state.current === "disconnected") {
      this.#observer.dropped(1);
      return;
    }
    if (this.#unflushedBytes > outgoingBytesMax) {
      this.#observer.dropped(1);
      throw new AtollError("ATOLL_BUS_OVERLOADED", `${outgoingBytesMax} bytes already wait for the server`);
    }
    // A copy: nats.js keeps the caller's buffer until it writes.
    connection.publish(subject, new Uint8Array(payload), replyTo === undefined ? {} : { reply: replyTo });
    this.#unflushedBytes += payload.byteLength + subject.length;
    void this.#flush(connection);
  }

  /** A flush is answered once the server has read everything before it: that is what bounds the outgoing bytes. */
  async #flush(connection: NatsConnection): Promise<void> {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    while (this.#unflushedBytes > 0 && this.#connection === connection) {
      const bytes = this.#unflushedBytes;
      const isFlushed = await connection.flush().then(
        () => true,
        () => false,
      );
      // After a loss of the connection nothing of what was written counts any more.
      this.#unflushedBytes = isFlushed ? Math.max(0, this.#unflushedBytes - bytes) : 0;
    }
    this.#isFlushing = false;
  }

  async #stayConnected(): Promise<void> {
    const { clock, random, logger } = this.#options;
    const signal = this.#closing.signal;
    let hasBeenConnected = false;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const connection = await this.#connect();
        failures = 0;
        if (hasBeenConnected) this.#observer.reconnected();
        hasBeenConnected = true;
        await this.#serve(connection);
      } catch (error) {
        // One line per outage, not one per attempt.
        if (failures++ === 0) logger.warn("NATS cannot be reached and is tried again", { servers: this.#options.servers, error: describeError(error) });
      }
      await sleep(clock, jittered(random, reconnectMs * Math.min(2 ** failures, 8), 0.5), signal).catch(() => undefined);
    }
    this.#replies.refuseAll("the bus is closed");
  }

  #connect(): Promise<NatsConnection> {
    const { servers, name, tls } = this.#options;
    return connect({
      servers: [...servers],
      name,
      inboxPrefix: this.#options.inboxPrefix,
      // The list is in order of preference: the own region first.
      noRandomize: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: reconnectMs,
      reconnectJitter: reconnectMs,
      reconnectJitterTLS: reconnectMs,
      pingInterval: pingIntervalMs,
      maxPingOut: pingsUnansweredMax,
      timeout: connectTimeoutMs,
      // A permission that is being granted, or a certificate that is being rotated, is no reason to give up.
      ignoreAuthErrorAbort: true,
      // Servers behind gateways are other regions' ones: only those configured here are this plane's.
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      ...(tls === undefined ? { tls: null } : { tls: natsTlsOptions(tls, servers) }),
    });
  }

  /** Follows one connection, over its reconnects, until it is closed. */
  async #serve(connection: NatsConnection): Promise<void> {
    const { clock } = this.#options;
    const onClosing = (): void => {
      const timer = clock.schedule(drainMsMax, () => void connection.close());
      void connection
        .drain()
        .catch(() => connection.close())
        .finally(() => timer[Symbol.dispose]());
    };
    this.#connection = connection;
    connection.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#answered(error, message) });
    for (const subscription of this.#subscriptions.all()) this.#attach(connection, subscription);
    this.#state.set("connected");
    if (this.#closing.signal.aborted) onClosing();
    else this.#closing.signal.addEventListener("abort", onClosing, { once: true });
    void this.#followStatus(connection);
    void this.#leaveSilence(connection);
    try {
      const error = await connection.closed();
      if (error !== undefined && !this.#closing.signal.aborted) throw error;
    } finally {
      this.#closing.signal.removeEventListener("abort", onClosing);
      this.#connection = undefined;
      this.#remote.clear();
      this.#disconnected();
    }
  }

  /** The client never ends this iteration, so nobody waits for it; it goes with the connection. */
  async #followStatus(connection: NatsConnection): Promise<void> {
    const { logger } = this.#options;
    for await (const status of connection.status()) {
      if (status.type === Events.Disconnect) this.#disconnected();
      else if (status.type === Events.Reconnect) {
        this.#observer.reconnected();
        this.#state.set("connected");
      } else if (status.type === Events.Error) {
        this.#observer.dropped(1);
        logger.warn("NATS refused something", { code: typeof status.data === "string" ? status.data : "unknown", permission: status.permissionContext?.operation, subject: status.permissionContext?.subject });
      } else if (status.type === DebugEvents.StaleConnection) {
        logger.warn("the connection to NATS does not answer", { server: connection.getServer() });
      }
    }
  }

  /** Goes to another server of several when nothing is heard, for as long as there is this connection. */
  async #leaveSilence(connection: NatsConnection): Promise<void> {
    const { servers, clock, random, logger } = this.#options;
    const isFirst = (): boolean => servers[0]?.endsWith(`//${connection.getServer()}`) === true;
    let firstMs: number = silentMs.min;
    while (servers.length > 1 && this.#connection === connection) {
      this.#hasHeard = false;
      const waitMs = isFirst() ? firstMs : silentMs.min;
      const isClosing = await sleep(clock, jittered(random, waitMs, 0.5), this.#closing.signal).then(
        () => false,
        () => true,
      );
      if (isClosing) return;
      if (this.#hasHeard) firstMs = silentMs.min;
      if (this.#hasHeard || this.#connection !== connection || this.#state.current === "disconnected") continue;
      logger.info("nothing is heard by this NATS server, and another is tried", { server: connection.getServer() });
      if (isFirst()) firstMs = Math.min(2 * firstMs, silentMs.firstMax);
      await connection.reconnect().catch(() => undefined);
    }
  }

  #disconnected(): void {
    this.#state.set("disconnected");
    this.#replies.refuseAll("the connection to the bus was lost");
  }

  #attach(connection: NatsConnection, local: LocalSubscription): void {
    const remote = connection.subscribe(local.pattern, {
      callback: (error, message) => {
        if (error !== null) {
          local.queue.fail(new AtollError("ATOLL_BUS_UNAVAILABLE", `NATS refused the subscription to ${local.pattern}`, { cause: error }));
          return;
        }
        this.#hasHeard = true;
        const { subject } = message;
        // A copy: the bytes are a view of a chunk that may hold much else.
        local.queue.push({ subject, payload: new Uint8Array(message.data), reply: (payload) => this.#reply(message, payload) });
      },
    });
    this.#remote.set(local, remote);
  }

  #reply(request: Msg, payload: Uint8Array): void {
    if (request.reply === undefined || request.reply === "") return;
    checkMessage(request.reply, payload);
    this.#publish(request.reply, payload);
  }

  #answered(error: Error | null, message: Msg): void {
    if (error !== null) {
      this.#replies.refuseAll(`NATS refused the inbox ${this.#inbox}: ${error.message}`);
      return;
    }
    const token = message.subject.slice(this.#inbox.length + 1);
    // The server's own answer when there is no subscriber: status 503 and nothing else.
    if (message.headers?.code === 503 && message.data.length === 0) this.#replies.refuse(token, "nobody answers on that subject");
    else this.#replies.answer(token, new Uint8Array(message.data));
  }
}
