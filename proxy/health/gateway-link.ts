import type { Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import type { Connector, UpstreamTarget } from "../upstream/connector.ts";

/** What a link tells the prober. `broken` says how much it proves: a black hole or a reset takes the pools with it, a refusal does not. */
export interface GatewayLinkEvents {
  onPong(roundTripMs: number): void;
  onBroken(cause: "unanswered" | "reset" | "refused"): void;
}

export interface GatewayLinkOptions {
  readonly target: UpstreamTarget;
  readonly connector: Connector;
  /** Requests on their way to this gateway. */
  readonly inFlight: () => number;
  readonly events: GatewayLinkEvents;
  readonly clock: Clock;
  readonly random: Random;
}

const pingBytes = 8;
/** With nothing to lose, a gateway is asked so often. */
const idlePingMs = 1_000;
/** While requests are on their way. Together with `graceMs` this is the promised 350 ms beyond three round trips. */
const busyPingMs = 100;
const graceMs = 250;
/** Until a round trip has been measured. */
const roundTripMsDefault = 300;
const connectMs = 2_000;
const retryMsMin = 250;
const retryMsMax = 2_000;
/** Weight of the newest sample. */
const smoothing = 0.2;
/** At 100 ms apart, more than any deadline allows for. */
const outstandingMax = 64;

/**
 * One warm connection to a gateway's reserved name, on which nonces travel there and back.
 *
 *   connecting --handshake--> open --no echo in 3 RTT + 250 ms, or reset--> broken --pause--> connecting
 *        |                                                                    ^
 *        +-- refused, or no handshake in time --------------------------------+
 */
export class GatewayLink {
  readonly #options: GatewayLinkOptions;
  readonly #sentAtMs: number[] = [];
  #nonceAt = 0;
  #received = 0;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #socket: Socket | undefined;
  #timer: Disposable | undefined;
  #open = false;
  #failures = 0;
  #closed = false;
  #answers = true;
  #roundTripMs: number | undefined;
  pings = 0;
  unanswered = 0;

  constructor(options: GatewayLinkOptions) {
    this.#options = options;
    this.#connect();
  }

  /** False from the moment it broke until the next pong. */
  get answers(): boolean {
    return this.#answers;
  }

  /** Smoothed; undefined until measured. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#socket?.destroy();
  }

  #connect(): void {
    const { connector, target } = this.#options;
    this.#sentAtMs.length = 0;
    this.#received = 0;
    this.#lastSentMs = Number.NEGATIVE_INFINITY;
    this.#open = false;
    // A small buffer of its own: an echo is eight bytes.
    const socket = connector.connect(target, {
      readBuffer: Buffer.alloc(1_024),
      onBytes: (length) => {
        if (this.#socket === socket) this.#echoed(length);
      },
      nextBuffer: () => undefined,
      onReady: () => {
        if (this.#socket !== socket) return;
        this.#open = true;
        this.#tick();
      },
      onProven: () => {},
    });
    this.#socket = socket;
    let failure: NodeJS.ErrnoException | undefined;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error;
      socket.destroy();
    });
    socket.on("end", () => socket.destroy());
    socket.once("close", () => {
      if (this.#socket === socket) this.#lost(failure);
    });
    this.#arm(connectMs, () => this.#broke("refused"));
  }

  #tick(): void {
    const { clock, inFlight } = this.#options;
    const nowMs = clock.monotonicMs();
    const busy = inFlight() > 0;
    const oldestMs = this.#sentAtMs[0];
    const deadlineMs = this.#deadlineMs();
    if (oldestMs !== undefined && nowMs - oldestMs >= deadlineMs) {
      // An event-loop stall makes timers run before the bytes that have arrived: the poll phase before this immediate reads them.
      setImmediate(() => {
        const stillMs = this.#sentAtMs[0];
        if (this.#closed || !this.#open) return;
        if (stillMs === oldestMs) this.#broke("unanswered");
        else this.#tick();
      });
      return;
    }
    const intervalMs = busy ? busyPingMs : idlePingMs;
    if (nowMs - this.#lastSentMs >= intervalMs - 1 && this.#sentAtMs.length < outstandingMax) this.#send(nowMs);
    const untilDeadlineMs = this.#sentAtMs[0] === undefined ? Number.POSITIVE_INFINITY : this.#sentAtMs[0] + deadlineMs - nowMs;
    // Looks again often enough to see that requests have begun to travel.
    this.#arm(Math.max(1, Math.min(busyPingMs, untilDeadlineMs)), () => this.#tick());
  }

  #send(nowMs: number): void {
    const nonce = Buffer.alloc(pingBytes);
    nonce.writeBigUInt64BE(BigInt(++this.#nonceAt));
    this.#sentAtMs.push(nowMs);
    this.#lastSentMs = nowMs;
    this.pings++;
    this.#socket?.write(nonce);
  }

  /** Echoes come in order, so their number says which pings they answer. */
  #echoed(length: number): void {
    this.#received += length;
    const nowMs = this.#options.clock.monotonicMs();
    for (; this.#received >= pingBytes && this.#sentAtMs.length > 0; this.#received -= pingBytes) {
      const sampleMs = nowMs - (this.#sentAtMs.shift() ?? nowMs);
      this.#roundTripMs = this.#roundTripMs === undefined ? sampleMs : this.#roundTripMs + smoothing * (sampleMs - this.#roundTripMs);
      this.#failures = 0;
      this.#answers = true;
      this.#options.events.onPong(this.#roundTripMs);
    }
  }

  #lost(failure: NodeJS.ErrnoException | undefined): void {
    if (this.#closed) return;
    // A clean end is a gateway that drains, or closes what was idle: whether it is still there, the next connection shows.
    if (this.#open && failure === undefined && this.#sentAtMs.length === 0) this.#retry();
    else this.#broke(this.#open ? "reset" : "refused");
  }

  #broke(cause: "unanswered" | "reset" | "refused"): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#open = false;
    this.unanswered++;
    this.#answers = false;
    socket?.destroy();
    this.#options.events.onBroken(cause);
    this.#retry();
  }

  #retry(): void {
    this.#socket = undefined;
    this.#open = false;
    const pauseMs = this.#failures === 0 ? 0 : Math.min(retryMsMax, retryMsMin * 2 ** (this.#failures - 1));
    this.#failures++;
    this.#arm(jittered(this.#options.random, pauseMs, 0.2), () => this.#connect());
  }

  #deadlineMs(): number {
    return 3 * (this.#roundTripMs ?? roundTripMsDefault) + graceMs;
  }

  #arm(delayMs: number, act: () => void): void {
    this.#timer?.[Symbol.dispose]();
    if (!this.#closed) this.#timer = this.#options.clock.schedule(delayMs, act);
  }
}
