import type { Socket } from "node:net";
import { createRoundTrip, echoBoundMs, recordEcho, recordSilence } from "#federation/health/round-trip.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import type { Connector, UpstreamTarget } from "../upstream/connector.ts";
import { ownFaultOf } from "../upstream/own-fault.ts";
import type { LocalStall } from "./local-stall.ts";
import { drainWord, pingBytes } from "./ping-words.ts";

/** What a link tells the prober. `broken` says how much it proves: a black hole or a reset takes the pools with it, a refusal does not. */
export interface GatewayLinkEvents {
  onPong(roundTripMs: number): void;
  onBroken(cause: "unanswered" | "reset" | "refused"): void;
  /** It said that it drains, or it has ended after it said so. */
  onLeaving(): void;
  /** One that had left answers again, or one that drained is replaced by one that does not. */
  onReturned(): void;
}

export interface GatewayLinkOptions {
  readonly target: UpstreamTarget;
  readonly connector: Connector;
  /** Requests on their way to this gateway. */
  readonly inFlight: () => number;
  readonly events: GatewayLinkEvents;
  readonly clock: Clock;
  /** What this process slept is taken out of round trips and bounds. */
  readonly stall: LocalStall;
  readonly random: Random;
}

/** With nothing to lose, a gateway is asked so often. */
const idlePingMs = 1_000;
/** While requests are on their way. With the bound on an echo this is the promised 3 × RTT + 350 ms. */
const busyPingMs = 100;
const connectMs = 2_000;
const retryMsMin = 250;
const retryMsMax = 2_000;
/** At 100 ms apart, more than any bound allows for. */
const outstandingMax = 64;
/** After sleeping so long we may be the one whom others gave up: the end of a connection then says nothing of them … */
const oversleptMs = 1_000;
/** … nor what ends so soon after. */
const aftermathMs = 1_000;

/**
 * One warm connection to a gateway's reserved name, on which nonces travel there and back.
 *
 *   connecting --handshake--> open --no echo within its bound, or reset--> broken --pause--> connecting
 *        |                     |                                            ^
 *        |                     +--"I drain"--> leaving --its end--> left ---(quietly)-----> connecting
 *        +-- refused, or no handshake in time ------------------------------+
 */
export class GatewayLink {
  readonly #options: GatewayLinkOptions;
  readonly #roundTrip = createRoundTrip();
  /** When the pings that are not answered were sent, on the awake clock. */
  readonly #sentAtMs: number[] = [];
  #nonceAt = 0;
  /** Of the word that is being received: how many bytes are there, and whether all of them are the drain word's. */
  #wordBytes = 0;
  #wordDrains = true;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  /** Monotonic. */
  #lastHeardMs = 0;
  #socket: Socket | undefined;
  #timer: Disposable | undefined;
  #open = false;
  /** The present connection's gateway said that it drains. */
  #drains = false;
  #leaving = false;
  #failures = 0;
  #closed = false;
  /** When it answered last, as far as anybody waited for it; undefined while it answers. */
  #silentSinceMs: number | undefined;
  pings = 0;
  unanswered = 0;

  constructor(options: GatewayLinkOptions) {
    this.#options = options;
    this.#connect();
  }

  /** False from the moment it broke or left until the next pong. */
  get answers(): boolean {
    return this.#silentSinceMs === undefined;
  }

  /** Since it does not answer, on the monotonic clock; undefined while it does. */
  get silentSinceMs(): number | undefined {
    return this.#silentSinceMs;
  }

  /** True from when it says that it drains until another answers at its address. */
  get leaving(): boolean {
    return this.#leaving;
  }

  /** Smoothed; undefined until measured. */
  get roundTripMs(): number | undefined {
    return this.#roundTrip.smoothedMs;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#socket?.destroy();
  }

  #connect(): void {
    const { connector, target, clock, stall } = this.#options;
    this.#sentAtMs.length = 0;
    this.#wordBytes = 0;
    this.#wordDrains = true;
    this.#drains = false;
    this.#lastSentMs = Number.NEGATIVE_INFINITY;
    this.#lastHeardMs = clock.monotonicMs();
    this.#open = false;
    // A small buffer of its own: an echo is eight bytes.
    const socket = connector.connect(target, {
      readBuffer: Buffer.alloc(1_024),
      onBytes: (length, buffer) => {
        if (this.#socket === socket) this.#read(buffer, length);
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
    this.#timer?.[Symbol.dispose]();
    this.#timer = stall.schedule(connectMs, () => this.#failed("refused"));
  }

  #tick(): void {
    const { stall, inFlight } = this.#options;
    const nowMs = stall.awakeMs();
    const oldestMs = this.#sentAtMs[0];
    const boundMs = echoBoundMs(this.#roundTrip, nowMs);
    if (oldestMs !== undefined && nowMs - oldestMs >= boundMs) {
      // An event-loop stall makes timers run before the bytes that have arrived: the poll phase before this immediate reads them.
      setImmediate(() => {
        const stillMs = this.#sentAtMs[0];
        if (this.#closed || !this.#open) return;
        if (stillMs === oldestMs) this.#failed("unanswered");
        else this.#tick();
      });
      return;
    }
    const intervalMs = inFlight() > 0 ? busyPingMs : idlePingMs;
    if (nowMs - this.#lastSentMs >= intervalMs - 1 && this.#sentAtMs.length < outstandingMax) this.#send(nowMs);
    const untilBoundMs = this.#sentAtMs[0] === undefined ? Number.POSITIVE_INFINITY : this.#sentAtMs[0] + boundMs - nowMs;
    // Looks again often enough to see that requests have begun to travel.
    this.#arm(Math.max(1, Math.min(busyPingMs, untilBoundMs)), () => this.#tick());
  }

  #send(nowMs: number): void {
    const nonce = Buffer.alloc(pingBytes);
    nonce.writeBigUInt64BE(BigInt(++this.#nonceAt));
    this.#sentAtMs.push(nowMs);
    this.#lastSentMs = nowMs;
    this.pings++;
    this.#socket?.write(nonce);
  }

  /** Echoes come in order, so their number says which pings they answer; between them may stand the word of a gateway that drains. */
  #read(buffer: Buffer, length: number): void {
    this.#lastHeardMs = this.#options.clock.monotonicMs();
    for (let at = 0; at < length; at++) {
      this.#wordDrains &&= buffer[at] === drainWord[this.#wordBytes];
      if (++this.#wordBytes < pingBytes) continue;
      const isDrain = this.#wordDrains;
      this.#wordBytes = 0;
      this.#wordDrains = true;
      if (!isDrain) this.#echoed();
      else if (!this.#drains) {
        this.#drains = true;
        this.#leaving = true;
        this.#options.events.onLeaving();
      }
    }
  }

  #echoed(): void {
    const sentMs = this.#sentAtMs.shift();
    if (sentMs === undefined) return;
    const nowMs = this.#options.stall.awakeMs();
    recordEcho(this.#roundTrip, nowMs - sentMs, nowMs);
    this.#failures = 0;
    this.#silentSinceMs = undefined;
    // A gateway that drains says so before it answers the first ping of a connection.
    if (this.#leaving && !this.#drains) {
      this.#leaving = false;
      this.#options.events.onReturned();
    }
    this.#options.events.onPong(this.#roundTrip.smoothedMs ?? 0);
  }

  #fallSilent(): void {
    this.#silentSinceMs ??= this.#options.clock.monotonicMs();
  }

  #lost(failure: NodeJS.ErrnoException | undefined): void {
    if (this.#closed) return;
    if (this.#open && this.#leaving) {
      this.#fallSilent();
      this.#options.events.onLeaving();
    }
    // A clean end is a gateway that closes what was idle, or drains and is of an older kind: whether it is still there, the next connection shows.
    const endsCleanly = this.#open && failure === undefined && this.#sentAtMs.length === 0;
    // Of a connection that we could not even begin, the gateway knows nothing.
    const isOurs = !this.#open && failure !== undefined && ownFaultOf(failure) !== undefined;
    if (endsCleanly || isOurs || this.#overslept()) this.#retry(this.#failures);
    else this.#failed(this.#open ? "reset" : "refused");
  }

  #overslept(): boolean {
    return this.#options.stall.longestSince(this.#lastHeardMs - aftermathMs) >= oversleptMs;
  }

  #failed(cause: "unanswered" | "reset" | "refused"): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#open = false;
    this.#fallSilent();
    socket?.destroy();
    if (cause === "unanswered") recordSilence(this.#roundTrip, this.#options.stall.awakeMs());
    // One that has left as it said is not missed: the next connections find it when it is back.
    const isExpected = this.#leaving && cause !== "unanswered";
    if (!isExpected) {
      this.unanswered++;
      this.#options.events.onBroken(cause);
    }
    this.#retry(isExpected ? Math.max(1, this.#failures) : this.#failures);
  }

  #retry(failures: number): void {
    this.#socket = undefined;
    this.#open = false;
    const pauseMs = failures === 0 ? 0 : Math.min(retryMsMax, retryMsMin * 2 ** (failures - 1));
    this.#failures = failures + 1;
    this.#arm(jittered(this.#options.random, pauseMs, 0.2), () => this.#connect());
  }

  #arm(delayMs: number, act: () => void): void {
    this.#timer?.[Symbol.dispose]();
    if (!this.#closed) this.#timer = this.#options.clock.schedule(delayMs, act);
  }
}
