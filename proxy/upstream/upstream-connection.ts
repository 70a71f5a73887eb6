import type { Socket } from "node:net";
import type { HttpFault } from "../http/http-fault.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import { Http1Parser } from "../http/http1-parser.ts";
import type { Http1Sink } from "../http/http1-parser.ts";
import type { TimerOwner, TimingWheel } from "../http/timing-wheel.ts";
import { WheelTimer } from "../http/timing-wheel.ts";
import type { ConnectHandler, Connector, UpstreamTarget } from "./connector.ts";
import { hopFields, requestText } from "./request-text.ts";
import { ownFaultOf } from "./own-fault.ts";
import type { ConnectEnd, ConnectionUser, OutgoingRequest, Upstream } from "./upstream.ts";

/** What a connection tells its pool. */
export interface ConnectionOwner {
  readonly target: UpstreamTarget;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  nowMs(): number;
  onReady(connection: UpstreamConnection): void;
  onProven(connection: UpstreamConnection): void;
  onIdle(connection: UpstreamConnection): void;
  /** `end` counts where it was not ready. */
  onClosed(connection: UpstreamConnection, end: ConnectEnd): void;
}

/** Reads of this size hold a usual head and body; large bodies get larger buffers. */
const readBytes = 16_384;
const largeReadBytes = 65_536;

/** A response that nobody wants any more is read to its end when it is no longer than this, to keep the connection. */
const discardedBytesMax = 65_536;

/** One HTTP/1.1 client connection: at most one request on the way at a time. */
export class UpstreamConnection implements Upstream, ConnectHandler, Http1Sink, TimerOwner {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #parser: Http1Parser;
  readonly #timer: WheelTimer;
  readonly #idleMs: number;
  readonly #connectMs: number;
  #expiresMs: number;
  #user: ConnectionUser | undefined = undefined;
  #discarding = false;
  #discardedBytes = 0;
  #end: ConnectEnd = "connect";
  #closed = false;
  #paused = false;
  #tunnelled: ((bytes: Buffer) => void) | undefined = undefined;
  #idleSinceMs = 0;
  /** The request has been written to its end: only then can the connection be used again after the response. */
  #requestSent = false;
  #chunks = false;
  #responseRead = false;
  #lent = false;
  #filled = false;

  readBuffer: Buffer = Buffer.allocUnsafeSlow(readBytes);
  ready = false;
  proven = false;
  /** When the connect began, monotonic ms. */
  readonly openedMs: number;
  /** Requests it has carried; the first one meets no stale connection. */
  served = 0;

  constructor(owner: ConnectionOwner, connector: Connector, options: { readonly connectMs: number; readonly idleMs: number; readonly ageMs: number }) {
    this.#owner = owner;
    this.#idleMs = options.idleMs;
    this.#connectMs = options.connectMs;
    const nowMs = owner.nowMs();
    this.openedMs = nowMs;
    this.#expiresMs = nowMs + options.ageMs;
    this.#parser = new Http1Parser("response", this, owner.httpLimits);
    this.#timer = new WheelTimer(this, 0);
    owner.wheel.arm(this.#timer, nowMs, options.connectMs);
    this.#socket = connector.connect(owner.target, this);
    this.#socket.on("error", (error) => {
      if (ownFaultOf(error) !== undefined) this.#end = "own";
    });
    this.#socket.on("close", () => this.#onClose());
    this.#socket.on("end", () => this.#onEnd());
    this.#socket.on("drain", () => this.#user?.onWritable());
  }

  get socket(): Socket {
    return this.#socket;
  }

  get busy(): boolean {
    return this.#user !== undefined || this.#discarding;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True while it may carry another request. */
  get usable(): boolean {
    return this.ready && !this.#closed && !this.busy && this.#owner.nowMs() < this.#expiresMs;
  }

  // --- for the user ---

  send(user: ConnectionUser, request: OutgoingRequest): void {
    this.#user = user;
    this.served++;
    this.#responseRead = false;
    this.#parser.answersHead = request.method === "HEAD";
    this.#requestSent = request.requestComplete;
    this.#chunks = request.requestFraming === "chunked";
    this.#socket.write(requestText(request, this.#hopFields(request)), "latin1");
  }

  /** What a sidecar tells the next one; an application behind its sidecar hears nothing of it. */
  #hopFields(request: OutgoingRequest): string {
    return this.#owner.target.sni === "" ? "" : hopFields(request, this.#owner.nowMs());
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    // The reader fills its buffer anew after this call, and what upstream is slow to take waits.
    const bytes = Buffer.from(buffer.subarray(start, end));
    if (!this.#chunks) return this.#socket.write(bytes);
    this.#socket.write(`${(end - start).toString(16)}\r\n`, "latin1");
    this.#socket.write(bytes);
    return this.#socket.write("\r\n", "latin1");
  }

  endBody(trailers: string): void {
    if (this.#chunks) this.#socket.write(`0\r\n${trailers}\r\n`, "latin1");
    this.#requestSent = true;
  }

  get mayBeStale(): boolean {
    return this.served > 1;
  }

  lend(): void {
    this.#lent = true;
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  unpause(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Reads a short rest of the response and keeps the connection, or closes it. */
  discard(): void {
    this.#user = undefined;
    if (!this.#requestSent || this.#parser.readsToClose) {
      this.destroy();
      return;
    }
    this.#discarding = true;
    this.#discardedBytes = 0;
    this.unpause();
  }

  release(): void {
    this.#owner.onIdle(this);
  }

  /** Gives the connection up, with whatever is on it. */
  destroy(): void {
    this.#user = undefined;
    this.#parser.stop();
    this.#socket.destroy();
  }

  /** Takes the socket out of HTTP: from now on all bytes go to `onBytes`. */
  tunnel(onBytes: (bytes: Buffer) => void): Socket {
    this.#user = undefined;
    this.#parser.stop();
    this.#tunnelled = onBytes;
    this.#owner.wheel.cancel(this.#timer);
    return this.#socket;
  }

  // --- for the pool ---

  /** Takes no further request: our identity or the trusted roots have changed since its handshake. */
  expire(): void {
    this.#expiresMs = Number.NEGATIVE_INFINITY;
  }

  /** Destroys it; a request on it hears of the loss. */
  purge(): void {
    const user = this.#user;
    this.destroy();
    user?.onLost("closed", false);
  }

  // --- from the connector ---

  onReady(): void {
    if (this.ready || this.#closed) return;
    this.ready = true;
    this.#becomeIdle();
    this.#owner.onReady(this);
  }

  onProven(): void {
    if (this.proven || this.#closed) return;
    this.proven = true;
    this.#owner.onProven(this);
  }

  onBytes(length: number, buffer: Buffer): void {
    this.#filled = length === buffer.length;
    if (this.#tunnelled !== undefined) {
      this.#tunnelled(Buffer.from(buffer.subarray(0, length)));
      return;
    }
    if (!this.proven) this.onProven();
    if (this.#user === undefined && !this.#discarding) {
      // Bytes that nobody asked for: a response to nothing is how responses get mixed up.
      this.destroy();
      return;
    }
    const stopped = this.#parser.execute(buffer, 0, length);
    if (this.#responseRead) this.#finishResponse(stopped === length);
    else if (this.#isTunnel()) this.#tunnelRest(buffer, stopped, length);
    else this.#user?.onReadEnd();
  }

  nextBuffer(): Buffer | undefined {
    if (!this.#lent && !(this.#filled && this.readBuffer.length < largeReadBytes)) return undefined;
    this.#lent = false;
    this.readBuffer = Buffer.allocUnsafeSlow(this.#filled ? largeReadBytes : readBytes);
    return this.readBuffer;
  }

  // --- from the parser ---

  onHead(parser: Http1Parser): void {
    if (parser.status < 200 && parser.status !== 101) return;
    this.#user?.onHead(parser);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    if (this.#user !== undefined) {
      this.#user.onBody(buffer, start, end);
      return;
    }
    this.#discardedBytes += end - start;
    if (this.#discardedBytes > discardedBytesMax) this.destroy();
  }

  onComplete(): void {
    // An interim response is skipped; the one that counts follows. 101 was taken by `tunnel`.
    if (this.#parser.status < 200) this.#parser.next();
    else this.#responseRead = true;
  }

  /** After the parser has returned, so that surplus bytes are seen and never taken for the next response. */
  #finishResponse(isClean: boolean): void {
    const parser = this.#parser;
    const user = this.#user;
    this.#responseRead = false;
    this.#user = undefined;
    this.#discarding = false;
    if (isClean && parser.keepAlive && this.#requestSent && parser.framing !== "close" && this.#owner.nowMs() < this.#expiresMs) {
      parser.next();
      this.unpause();
      this.#becomeIdle();
      // Before its user is told: what that one sends next may then use this very connection.
      this.#owner.onIdle(this);
    } else {
      parser.stop();
      this.#socket.destroy();
    }
    user?.onComplete(parser.trailers);
  }

  onFault(fault: HttpFault): void {
    const user = this.#user;
    this.destroy();
    user?.onLost("protocol", false, fault);
  }

  // --- its end ---

  onTimer(): void {
    const nowMs = this.#owner.nowMs();
    if (!this.ready) {
      // A handshake takes turns of this process: those that it slept through are given back.
      const leftMs = this.#connectMs - (nowMs - this.openedMs) + this.#owner.wheel.stall.since(this.openedMs);
      if (leftMs > 0) {
        this.#owner.wheel.arm(this.#timer, nowMs, leftMs);
        return;
      }
      this.#end = "timeout";
      this.destroy();
      return;
    }
    const idleLeftMs = this.#idleSinceMs + this.#idleMs - nowMs;
    if (!this.busy && (idleLeftMs <= 0 || nowMs >= this.#expiresMs)) {
      this.destroy();
      return;
    }
    // A response that nobody waits for has one idle limit to end, too.
    if (this.#discarding && idleLeftMs <= -this.#idleMs) {
      this.destroy();
      return;
    }
    this.#owner.wheel.arm(this.#timer, nowMs, Math.max(1000, Math.min(idleLeftMs, this.#idleMs)));
  }

  #becomeIdle(): void {
    const nowMs = this.#owner.nowMs();
    this.#idleSinceMs = nowMs;
    // Later idle times reuse the armed timer: it looks at `#idleSinceMs` when it fires.
    if (this.served === 0) this.#owner.wheel.arm(this.#timer, nowMs, this.#idleMs);
  }

  #isTunnel(): boolean {
    return this.#tunnelled !== undefined;
  }

  #tunnelRest(buffer: Buffer, start: number, end: number): void {
    if (start < end) this.#tunnelled?.(Buffer.from(buffer.subarray(start, end)));
  }

  #onEnd(): void {
    if (this.#tunnelled !== undefined) return;
    if (this.#parser.readsToClose && this.#parser.finish()) this.#finishResponse(false);
    this.#socket.destroy();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.wheel.cancel(this.#timer);
    this.#owner.onClosed(this, this.#end);
    const user = this.#user;
    this.#user = undefined;
    user?.onLost("closed", false);
  }
}

