import type { Socket } from "node:net";
import type { LoadReport } from "../admission/load-report.ts";
import type { Stage } from "../http/exchange.ts";
import type { HttpLimits } from "../http/http-limits.ts";
import type { Http1Parser } from "../http/http1-parser.ts";
import type { ClientIdentity } from "../http/server-connection.ts";
import type { TimerOwner, TimingWheel } from "../http/timing-wheel.ts";
import { WheelTimer } from "../http/timing-wheel.ts";
import { CalleeStream } from "./callee-stream.ts";
import type { CalleeStreamOwner } from "./callee-stream.ts";
import { frameKinds, goawayCodes, preludeBytes, resetCodes } from "./frames.ts";
import type { HopLimits } from "./frames.ts";
import { createHeadParser } from "./head-parser.ts";
import { HopPings } from "./hop-pings.ts";
import { HopLink } from "./hop-link.ts";
import type { HopFault, LinkUser } from "./hop-link.ts";
import type { StreamFlow } from "./stream-flow.ts";

/** What all sessions of an inbound side share. */
export interface CalleeEngine {
  readonly stages: readonly Stage[];
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly hopLimits: HopLimits;
  readonly logsFields: boolean;
  /** Which instance of its service answers here. */
  readonly instance: string;
  nowMs(): number;
  onHopFault(fault: HopFault): void;
  /** A stream beyond the bound was refused unread. */
  onStreamRefused(): void;
  onClose(session: CalleeSession): void;
}

/** A peer that says nothing for so long is gone: while it wants the connection it pings every 10 s. Ms. */
const quietMsMax = 60_000;
/** Until its first frame it has this long. Ms. */
const settingsMs = 10_000;
/** Stream objects kept for later requests. */
const sparesMax = 64;

/** One connection of the hop on the callee's side: reads requests, runs each as an exchange of its own, writes responses. */
export class CalleeSession implements LinkUser, CalleeStreamOwner, TimerOwner {
  readonly #engine: CalleeEngine;
  readonly #socket: Socket;
  readonly #parser: Http1Parser;
  readonly #timer: WheelTimer;
  readonly #streams = new Map<number, CalleeStream>();
  readonly #spares: CalleeStream[] = [];
  readonly #report: () => LoadReport;
  readonly #pings = new HopPings();
  #lastId = 0;
  #heardMs: number;
  #isDraining = false;
  #closed = false;

  readonly link: HopLink;
  readonly identity: ClientIdentity;

  constructor(engine: CalleeEngine, socket: Socket, options: { readonly identity: ClientIdentity; readonly report: () => LoadReport }) {
    this.#engine = engine;
    this.#socket = socket;
    this.identity = options.identity;
    this.#report = options.report;
    this.#parser = createHeadParser("request", engine.httpLimits);
    this.#timer = new WheelTimer(this, 0);
    this.#heardMs = engine.nowMs();
    this.link = new HopLink(socket, this, { limits: engine.hopLimits, nowMs: () => engine.nowMs() });
    engine.wheel.arm(this.#timer, this.#heardMs, settingsMs);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      this.#heardMs = engine.nowMs();
      this.link.read(chunk, 0, chunk.length);
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#onClose());
    this.link.sendSettings(engine.instance);
  }

  get stages(): readonly Stage[] {
    return this.#engine.stages;
  }

  get wheel(): TimingWheel {
    return this.#engine.wheel;
  }

  get logsFields(): boolean {
    return this.#engine.logsFields;
  }

  get heldBytesMax(): number {
    return this.#engine.httpLimits.heldBytesMax;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Takes no further streams and says which it took; ends once none is left. */
  drain(): void {
    if (this.#isDraining || this.#closed) return;
    this.#isDraining = true;
    this.link.sendGoaway(this.#lastId, goawayCodes.draining);
    this.#closeWhenEmpty();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Its caller has lost its right: what it does ends as a refusal; later requests are judged by their stage. */
  revoke(): void {
    for (const stream of [...this.#streams.values()]) stream.revoke();
  }

  // --- for its streams ---

  report(): LoadReport {
    return this.#report();
  }

  released(stream: CalleeStream): void {
    this.#streams.delete(stream.id);
    stream.flow.close();
    if (this.#closed) return;
    if (this.#spares.length < sparesMax) this.#spares.push(stream);
    if (this.#isDraining) this.#closeWhenEmpty();
  }

  // --- from the link ---

  flowOf(stream: number): StreamFlow | undefined {
    return this.#streams.get(stream)?.flow;
  }

  onSettings(): void {
    // The caller's own bound on streams is its own matter, and it has no instance.
  }

  onStreamFrame(kind: number, end: boolean, id: number, buffer: Buffer, from: number, to: number): void {
    if (kind === frameKinds.request) return this.#onRequest(end, id, buffer, from, to);
    if (id === 0 || id > this.#lastId || kind === frameKinds.response || kind === frameKinds.refusal) {
      if (!this.#isDraining || id === 0) this.link.fail("protocol");
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (kind === frameKinds.reset) stream.cancel(to > from && buffer[from] === resetCodes.movedOn);
    else stream.onTrailers(this.#parser.readTrailerBlock(buffer, from, to));
  }

  #onRequest(end: boolean, id: number, buffer: Buffer, from: number, to: number): void {
    // What comes after our GOAWAY is not looked at: its caller knows, and asks elsewhere.
    if (this.#isDraining) return;
    if (id <= this.#lastId || to - from < preludeBytes.request) return this.link.fail("protocol");
    this.#lastId = id;
    if (this.#streams.size >= this.#engine.hopLimits.streamsMax) {
      this.#engine.onStreamRefused();
      this.link.sendReset(id, resetCodes.untaken);
      return;
    }
    if (this.#parser.readBlock(buffer, from + preludeBytes.request, to) !== undefined) {
      this.link.sendReset(id, resetCodes.malformed);
      return;
    }
    const stream = this.#spares.pop() ?? new CalleeStream(this);
    this.#streams.set(id, stream);
    stream.begin(id, this.#parser, from, buffer, end);
  }

  onStreamData(id: number, buffer: Buffer, from: number, to: number, end: boolean): void {
    if (id === 0 || (id > this.#lastId && !this.#isDraining)) return this.link.fail("protocol");
    this.#measureWay();
    this.#streams.get(id)?.onData(buffer, from, to, end);
  }

  /** A body that comes needs windows that follow the way, and only who asks knows how long that is. */
  #measureWay(): void {
    const nonce = this.#pings.due(this.#engine.nowMs(), false);
    if (nonce !== 0) this.link.sendPing(nonce);
  }

  onReadEnd(): void {
    // Bodies are passed on as they arrive.
  }

  onPong(nonce: number): void {
    this.#pings.answered(nonce, this.#engine.nowMs());
    this.link.roundTripMs = this.#pings.roundTripMs;
  }

  onGoaway(): void {
    // The caller opens no more streams; those that are open end as usual.
    this.#isDraining = true;
    this.#closeWhenEmpty();
  }

  onFault(fault: HopFault): void {
    this.#engine.onHopFault(fault);
  }

  // --- its end ---

  onTimer(): void {
    const nowMs = this.#engine.nowMs();
    const leftMs = (this.link.isProven ? quietMsMax : settingsMs) - (nowMs - this.#heardMs);
    if (leftMs > 0) this.#engine.wheel.arm(this.#timer, nowMs, leftMs);
    else this.#socket.destroy();
  }

  #closeWhenEmpty(): void {
    if (this.#streams.size === 0 && !this.#closed) this.link.close();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#engine.wheel.cancel(this.#timer);
    for (const stream of [...this.#streams.values()]) stream.cancel(false);
    this.#engine.onClose(this);
  }
}
