import { chmodSync, unlinkSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { isAddressInUse, listen, portOf } from "#federation/runtime/listen.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { silentBusObserver, type BusObserver } from "./bus-observer.ts";
import { connectOptions, formatSocketAddress, type SocketAddress } from "./socket-address.ts";
import { encodeFrame, SocketFrameReader, socketProtocolVersion, type SocketFrame } from "./socket-frames.ts";
import { createSubjectMatcher, isSubject, isSubjectPattern, type SubjectMatcher } from "./subject.ts";

/** How to open a hub. */
export interface SocketHubOptions {
  /** A TCP port of 0 lets the system choose. */
  readonly address: SocketAddress;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hears of messages that a slow client lost. */
  readonly observer?: BusObserver;
}

const clientsMax = 1_024;
const subscriptionsPerClientMax = 4_096;
/** Bytes waiting for one slow client; beyond it that client loses messages, and nobody else does. */
export const clientBufferBytesMax = 16 * 1024 * 1024;
/** Clients ping every 5 s; one that was silent for this long is gone. */
const silenceMsMax = 20_000;

/** The server of the embedded bus: hands each message to every client that subscribed to its subject. */
export interface SocketHub extends AsyncDisposable {
  /** With the port that the system chose. */
  readonly address: SocketAddress;
  readonly clientCount: number;
}

/**
 * Opens a hub. A Unix socket that a dead hub left behind is replaced, and is open to this user alone.
 * @throws {ATOLL_BUS_UNAVAILABLE} when the address is taken by a living hub or cannot be listened on.
 */
export async function openSocketHub(options: SocketHubOptions): Promise<SocketHub> {
  const { address } = options;
  const listenOptions = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
  const hub = new Hub(options);
  const server = createServer({ noDelay: true }, (socket) => hub.accept(socket));
  try {
    await listen(server, listenOptions);
  } catch (error) {
    if (address.kind !== "unix" || !isAddressInUse(error) || (await isAlive(address))) {
      throw new AtollError("ATOLL_BUS_UNAVAILABLE", `the hub cannot listen on ${formatSocketAddress(address)}: ${describeError(error)}`, { cause: error });
    }
    unlinkSync(address.path);
    await listen(server, listenOptions);
  }
  if (address.kind === "unix") chmodSync(address.path, 0o600);
  const listening: SocketAddress = address.kind === "tcp" ? { ...address, port: portOf(server) } : address;
  return {
    address: listening,
    get clientCount() {
      return hub.clientCount;
    },
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      hub.destroyAll();
      await closed;
    },
  };
}

class Hub {
  readonly #options: SocketHubOptions;
  readonly #observer: BusObserver;
  readonly #clients = new Set<HubClient>();

  constructor(options: SocketHubOptions) {
    this.#options = options;
    this.#observer = options.observer ?? silentBusObserver;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  accept(socket: Socket): void {
    if (this.#clients.size >= clientsMax) {
      this.#options.logger.warn("a client of the hub was refused because there are too many", { clientsMax });
      socket.destroy();
      return;
    }
    const client = new HubClient(socket, this.#options.clock, {
      route: (frame) => this.#route(client, frame),
      dropped: () => this.#observer.dropped(1),
      gone: (reason) => {
        this.#clients.delete(client);
        if (reason !== undefined) this.#options.logger.warn("a client of the hub was cut off", { reason });
      },
    });
    this.#clients.add(client);
  }

  destroyAll(): void {
    for (const client of this.#clients) client.destroy();
  }

  #route(publisher: HubClient, frame: Extract<SocketFrame, { kind: "publish" }>): void {
    let interested = 0;
    for (const client of this.#clients) interested += client.deliver(frame);
    if (interested === 0 && frame.replyTo !== "") publisher.send({ kind: "nobody", replyTo: frame.replyTo });
  }
}

interface HubSide {
  route(frame: Extract<SocketFrame, { kind: "publish" }>): void;
  dropped(): void;
  /** `reason` when the hub cut the client off. */
  gone(reason: string | undefined): void;
}

class HubClient {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #hub: HubSide;
  readonly #frames = new SocketFrameReader();
  readonly #subscriptions = new Map<number, SubjectMatcher>();
  #hasGreeted = false;
  #silence: Disposable;
  #lastHeardMs: number;

  constructor(socket: Socket, clock: Clock, hub: HubSide) {
    this.#socket = socket;
    this.#clock = clock;
    this.#hub = hub;
    this.#lastHeardMs = clock.monotonicMs();
    this.#silence = this.#watchSilence();
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#silence[Symbol.dispose]();
      hub.gone(undefined);
    });
  }

  /** How many subscriptions of this client `frame` matches; those that do not fit into its buffer are dropped. */
  deliver(frame: Extract<SocketFrame, { kind: "publish" }>): number {
    let matches = 0;
    for (const [id, matcher] of this.#subscriptions) {
      if (!matcher(frame.subject)) continue;
      matches++;
      if (this.#socket.writableLength > clientBufferBytesMax) this.#hub.dropped();
      else this.send({ kind: "message", id, subject: frame.subject, replyTo: frame.replyTo, payload: frame.payload });
    }
    return matches;
  }

  send(frame: SocketFrame): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(frame));
  }

  destroy(reason?: string): void {
    if (reason !== undefined) this.#hub.gone(reason);
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#lastHeardMs = this.#clock.monotonicMs();
    try {
      for (const frame of this.#frames.push(chunk)) this.#handle(frame);
    } catch (error) {
      this.destroy(describeError(error));
    }
  }

  #handle(frame: SocketFrame): void {
    if (!this.#hasGreeted && frame.kind !== "hello") throw new Error("the client did not begin with hello");
    switch (frame.kind) {
      case "hello":
        if (frame.version !== socketProtocolVersion) throw new Error(`the client speaks version ${frame.version}`);
        this.#hasGreeted = true;
        this.send({ kind: "hello", version: socketProtocolVersion });
        break;
      case "subscribe":
        if (this.#subscriptions.size >= subscriptionsPerClientMax) throw new Error(`more than ${subscriptionsPerClientMax} subscriptions`);
        if (!isSubjectPattern(frame.pattern)) throw new Error("not a subject pattern");
        this.#subscriptions.set(frame.id, createSubjectMatcher(frame.pattern));
        break;
      case "unsubscribe":
        this.#subscriptions.delete(frame.id);
        break;
      case "publish":
        if (!isSubject(frame.subject) || (frame.replyTo !== "" && !isSubject(frame.replyTo))) throw new Error("not a subject");
        this.#hub.route(frame);
        break;
      case "ping":
        this.send({ kind: "pong" });
        break;
      case "pong":
        break;
      case "message":
      case "nobody":
        throw new Error(`the client sent ${frame.kind}, which only a hub may`);
    }
  }

  #watchSilence(): Disposable {
    return this.#clock.schedule(silenceMsMax / 2, () => {
      if (this.#clock.monotonicMs() - this.#lastHeardMs > silenceMsMax) this.destroy("it was silent for too long");
      else this.#silence = this.#watchSilence();
    });
  }
}

/** True when something accepts connections at `address`. */
function isAlive(address: SocketAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(connectOptions(address));
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
