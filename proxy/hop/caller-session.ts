import type { TLSSocket } from "node:tls";
import { unknownLoad } from "../admission/load-report.ts";
import type { LoadReport } from "../admission/load-report.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import type { Http1Parser } from "../http/http1-parser.ts";
import type { TimerOwner, TimingWheel } from "../http/timing-wheel.ts";
import { WheelTimer } from "../http/timing-wheel.ts";
import type { ConnectHandler, Connector, UpstreamTarget } from "../upstream/connector.ts";
import { ownFaultOf } from "../upstream/own-fault.ts";
import type { ConnectEnd } from "../upstream/upstream.ts";
import { CallerStream } from "./caller-stream.ts";
import type { StreamOwner } from "./caller-stream.ts";
import { frameKinds, goawayCodes, hopProtocol, preludeBytes, streamIdMax } from "./frames.ts";
import type { HopLimits } from "./frames.ts";
import { createHeadParser } from "./head-parser.ts";
import { HopLink } from "./hop-link.ts";
import type { HopFault, LinkUser } from "./hop-link.ts";
import { HopPings } from "./hop-pings.ts";
import { readRefusal } from "./read-refusal.ts";
import type { StreamFlow } from "./stream-flow.ts";

/** What a session tells its pool. */
export interface SessionOwner {
  readonly target: UpstreamTarget;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly hopLimits: HopLimits;
  nowMs(): number;
  /** Its handshake is done and it speaks the hop's protocol. */
  onOpen(session: CallerSession): void;
  /** Its handshake is done, and the peer is an older sidecar. */
  onOtherProtocol(session: CallerSession): void;
  /** The peer has spoken: it accepts us, and says which instance it is. */
  onProven(session: CallerSession): void;
  /** It takes no new streams from now on. */
  onDraining(session: CallerSession): void;
  /** Nothing has come from it for longer than its way explains; or something has again. */
  onSilence(session: CallerSession): void;
  /** The far side has told its load. */
  onReport(session: CallerSession): void;
  /** A stream has ended: there may be room. */
  onRoom(session: CallerSession): void;
  /** `end` counts where it was not ready. */
  onClosed(session: CallerSession, end: ConnectEnd): void;
  /** The peer broke the protocol. */
  onFault(fault: HopFault): void;
  /** When the pool last had a use for this connection, ms. */
  readonly wantedAtMs: number;
}

const readBytes = 16_384;
const largeReadBytes = 65_536;
/** Stream objects kept for later requests. */
const sparesMax = 64;

/** One connection to a callee's sidecar, on the caller's side: streams out of it, pings, and its end. */
export class CallerSession implements ConnectHandler, LinkUser, StreamOwner, TimerOwner {
  readonly #owner: SessionOwner;
  readonly #socket: TLSSocket;
  readonly #timer: WheelTimer;
  readonly #parser: Http1Parser;
  readonly #streams = new Map<number, CallerStream>();
  readonly #spares: CallerStream[] = [];
  readonly #touched: CallerStream[] = [];
  readonly #pings = new HopPings();
  readonly #idleMs: number;
  readonly #connectMs: number;
  #expiresMs: number;
  #lastId = 0;
  #peerStreamsMax: number;
  #end: ConnectEnd = "connect";
  #lent = false;
  #filled = false;
  #closed = false;

  readonly link: HopLink;
  readBuffer: Buffer = Buffer.allocUnsafeSlow(readBytes);
  readonly openedMs: number;
  ready = false;
  proven = false;
  draining = false;
  /** Nothing comes: it takes no new streams until something does. */
  silent = false;
  /** Which instance answers; empty until it has said so. */
  instance = "";
  /** Its application's load, as of its latest response. */
  load: LoadReport = unknownLoad;
  hasReported = false;
  /** When its pool last gave it a request. */
  askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(owner: SessionOwner, connector: Connector, options: { readonly connectMs: number; readonly idleMs: number; readonly ageMs: number }) {
    this.#owner = owner;
    const nowMs = owner.nowMs();
    this.openedMs = nowMs;
    this.#idleMs = options.idleMs;
    this.#connectMs = options.connectMs;
    this.#expiresMs = nowMs + options.ageMs;
    this.#peerStreamsMax = owner.hopLimits.streamsMax;
    this.#parser = createHeadParser("response", owner.httpLimits);
    this.#timer = new WheelTimer(this, 0);
    owner.wheel.arm(this.#timer, nowMs, options.connectMs);
    this.#socket = connector.connect({ ...owner.target, protocols: [hopProtocol, "http/1.1"] }, this) as TLSSocket;
    this.link = new HopLink(this.#socket, this, { limits: owner.hopLimits, nowMs: () => owner.nowMs() });
    this.#socket.on("error", (error) => {
      if (ownFaultOf(error) !== undefined) this.#end = "own";
    });
    this.#socket.on("close", () => this.#onClose());
    this.#socket.on("end", () => this.#socket.destroy());
  }

  // --- for the pool ---

  get streams(): number {
    return this.#streams.size;
  }

  /** How long the way is, ms; 0 until known. */
  get wayMs(): number {
    return this.#pings.wayMs;
  }

  /** True while it takes one more request. */
  get hasRoom(): boolean {
    return this.isSound && !this.#closed && this.#streams.size < Math.min(this.#peerStreamsMax, this.#owner.hopLimits.streamsMax) && this.#lastId < streamIdMax;
  }

  /** Nothing is known against it. */
  get isSound(): boolean {
    return this.ready && !this.draining && !this.silent;
  }

  /** A stream to send one request on. */
  stream(): CallerStream {
    return this.#spares.pop() ?? new CallerStream(this);
  }

  /** Takes no further request: it is old, or our identity or the trusted roots have changed since its handshake. */
  retire(): void {
    if (this.draining || this.#closed) return;
    this.draining = true;
    this.#owner.onDraining(this);
    this.#closeWhenEmpty();
  }

  /** Whoever asks the same way by other means hears nothing either. */
  doubt(): void {
    if (!this.ready || this.silent || this.#closed) return;
    this.silent = true;
    this.#arm();
    this.#owner.onSilence(this);
    for (const stream of [...this.#streams.values()]) stream.onSilence();
  }

  /** Destroys it; requests on it hear of the loss. */
  purge(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  // --- for its streams ---

  nextId(): number {
    this.#lastId++;
    return this.#lastId;
  }

  unused(stream: CallerStream): void {
    if (this.#spares.length < sparesMax) this.#spares.push(stream);
  }

  opened(stream: CallerStream): void {
    this.#streams.set(stream.id, stream);
    if (this.#streams.size === 1) this.#arm();
  }

  released(stream: CallerStream): void {
    this.#streams.delete(stream.id);
    stream.flow.close();
    if (this.#closed) return;
    this.unused(stream);
    if (this.draining) this.#closeWhenEmpty();
    else this.#owner.onRoom(this);
  }

  giveUp(stream: CallerStream, code: number): void {
    if (!this.#closed) this.link.sendReset(stream.id, code);
    this.released(stream);
  }

  lend(): void {
    this.#lent = true;
  }

  readTrailers(buffer: Buffer, from: number, to: number): string | undefined {
    return this.#parser.readTrailerBlock(buffer, from, to);
  }

  // --- from the connector ---

  onReady(): void {
    if (this.ready || this.#closed) return;
    if (this.#socket.alpnProtocol !== hopProtocol) {
      this.#owner.onOtherProtocol(this);
      this.#socket.destroy();
      return;
    }
    this.ready = true;
    this.link.sendSettings("");
    // The answer says how far it is and what load is there, before the first request asks.
    this.link.sendPing(this.#pings.due(this.#awakeMs(), true));
    this.#arm();
    this.#owner.onOpen(this);
  }

  onProven(): void {
    // What proves a session is its first frame: a ticket may come from a server that then finds fault with us.
  }

  onBytes(length: number, buffer: Buffer): void {
    this.#filled = length === buffer.length;
    this.#pings.heard(this.#awakeMs());
    if (this.silent) {
      this.silent = false;
      this.#owner.onSilence(this);
    }
    this.link.read(buffer, 0, length);
  }

  nextBuffer(): Buffer | undefined {
    if (!this.#lent && !(this.#filled && this.readBuffer.length < largeReadBytes)) return undefined;
    this.#lent = false;
    this.readBuffer = Buffer.allocUnsafeSlow(this.#filled ? largeReadBytes : readBytes);
    return this.readBuffer;
  }

  // --- from the link ---

  flowOf(stream: number): StreamFlow | undefined {
    return this.#streams.get(stream)?.flow;
  }

  report(): LoadReport {
    return unknownLoad;
  }

  onSettings(streamsMax: number, instance: string): void {
    this.#peerStreamsMax = streamsMax;
    this.instance = instance;
    this.proven = true;
    this.#owner.onProven(this);
  }

  onStreamFrame(kind: number, end: boolean, id: number, buffer: Buffer, from: number, to: number): void {
    if (id === 0 || id > this.#lastId || kind === frameKinds.request) return this.link.fail("protocol");
    if (kind === frameKinds.response || kind === frameKinds.refusal) {
      const least = kind === frameKinds.response ? preludeBytes.response : preludeBytes.refusal;
      if (to - from < least) return this.link.fail("protocol");
      this.#readReport(buffer, from);
    }
    const stream = this.#streams.get(id);
    // Given up by us, and not yet known there.
    if (stream === undefined) return;
    switch (kind) {
      case frameKinds.response:
        stream.onResponse(this.#parser, buffer, from + preludeBytes.response, to, end);
        if (!end) this.#touch(stream);
        return;
      case frameKinds.refusal: {
        const refusal = readRefusal(buffer, from, to);
        if (refusal === undefined) this.link.fail("protocol");
        else stream.onRefusal(refusal);
        return;
      }
      case frameKinds.trailers:
        stream.onTrailers(buffer, from, to);
        return;
      default:
        stream.onReset(buffer[from] ?? 0);
    }
  }

  onStreamData(id: number, buffer: Buffer, from: number, to: number, end: boolean): void {
    if (id === 0 || id > this.#lastId) return this.link.fail("protocol");
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.onData(buffer, from, to, end);
    if (!end) this.#touch(stream);
  }

  onReadEnd(): void {
    if (this.#touched.length === 0) return;
    for (const stream of this.#touched) {
      stream.touched = false;
      stream.onReadEnd();
    }
    this.#touched.length = 0;
  }

  onPong(nonce: number, buffer: Buffer, from: number): void {
    this.#readReport(buffer, from);
    this.#pings.answered(nonce, this.#awakeMs());
    this.link.roundTripMs = this.#pings.roundTripMs;
  }

  onGoaway(lastStream: number, code: number): void {
    const untaken = [...this.#streams.values()].filter((stream) => stream.id > lastStream);
    if (!this.draining) {
      this.draining = true;
      this.#owner.onDraining(this);
    }
    for (const stream of untaken) stream.lose("untaken", true);
    if (code !== goawayCodes.draining) this.#socket.destroy();
    else this.#closeWhenEmpty();
  }

  onFault(fault: HopFault): void {
    this.#owner.onFault(fault);
  }

  #readReport(buffer: Buffer, from: number): void {
    this.load = { queueDelayMs: buffer.readUInt16BE(from), utilizationRatio: buffer.readUInt16BE(from + 2) / 1_000, headroom: buffer.readUInt16BE(from + 4) };
    this.hasReported = true;
    this.#owner.onReport(this);
  }

  #touch(stream: CallerStream): void {
    if (stream.touched) return;
    stream.touched = true;
    this.#touched.push(stream);
  }

  // --- time ---

  onTimer(): void {
    const nowMs = this.#owner.nowMs();
    if (!this.ready) {
      this.#onConnectTimer(nowMs);
      return;
    }
    const awakeMs = this.#awakeMs();
    const silence = this.#pings.silence(awakeMs);
    if (silence === "end") {
      this.#socket.destroy();
      return;
    }
    // It may be dead, or its process may wait for a processor: what can goes elsewhere, and the rest is not thrown away.
    if (silence === "doubt") this.doubt();
    if (nowMs >= this.#expiresMs) this.retire();
    if (this.#streams.size === 0 && nowMs - Math.max(this.#owner.wantedAtMs, this.openedMs) >= this.#idleMs) {
      this.#socket.end();
      this.retire();
    }
    if (this.#closed) return;
    const ping = this.#pings.due(awakeMs, this.#isBusy);
    if (ping !== 0) this.link.sendPing(ping);
    this.#arm();
  }

  /** A handshake takes turns of this process: those that it slept through are given back. */
  #onConnectTimer(nowMs: number): void {
    const { wheel } = this.#owner;
    const leftMs = this.#connectMs - (nowMs - this.openedMs) + wheel.stall.since(this.openedMs);
    if (leftMs > 0) {
      wheel.arm(this.#timer, nowMs, leftMs);
      return;
    }
    this.#end = "timeout";
    this.#socket.destroy();
  }

  /** Somebody waits to hear from it. */
  get #isBusy(): boolean {
    return this.#streams.size > 0 || this.silent;
  }

  #awakeMs(): number {
    return this.#owner.wheel.stall.awakeMs();
  }

  #arm(): void {
    this.#owner.wheel.arm(this.#timer, this.#owner.nowMs(), this.#pings.quietMs(this.#awakeMs(), this.#isBusy));
  }

  // --- its end ---

  #closeWhenEmpty(): void {
    if (this.#streams.size === 0 && !this.#closed) this.link.close();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.wheel.cancel(this.#timer);
    this.#owner.onClosed(this, this.#end);
    let isTold = false;
    for (const stream of [...this.#streams.values()]) {
      stream.lose("closed", isTold);
      isTold = true;
    }
  }
}
