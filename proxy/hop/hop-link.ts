import type { Socket } from "node:net";
import type { LoadReport } from "../admission/load-report.ts";
import { ControlBudget } from "./control-budget.ts";
import { FrameOutput } from "./frame-output.ts";
import { FrameReader } from "./frame-reader.ts";
import type { FrameSink } from "./frame-reader.ts";
import { frameKinds, goawayCodes, hopVersion, preludeBytes } from "./frames.ts";
import type { HopLimits } from "./frames.ts";
import { ReceiveWindow, windowMax } from "./receive-window.ts";
import type { FlowLink, StreamFlow } from "./stream-flow.ts";

/** Why a connection of the hop ended by one side's judgement; the words are labels of a counter. */
export type HopFault = "protocol" | "flow_control" | "flood" | "oversized";

const faultCodes = { protocol: goawayCodes.protocol, flow_control: goawayCodes.flowControl, flood: goawayCodes.flood, oversized: goawayCodes.protocol } as const satisfies Record<HopFault, number>;

/** One side's session over a link: what is asked of streams. */
export interface LinkUser {
  /** REQUEST, RESPONSE, REFUSAL, TRAILERS or RESET. */
  onStreamFrame(kind: number, end: boolean, stream: number, buffer: Buffer, from: number, to: number): void;
  onStreamData(stream: number, buffer: Buffer, from: number, to: number, end: boolean): void;
  /** The flow of an open stream, or undefined. */
  flowOf(stream: number): StreamFlow | undefined;
  onSettings(streamsMax: number, instance: string): void;
  onPong(nonce: number, buffer: Buffer, from: number): void;
  onGoaway(lastStream: number, code: number): void;
  /** All bytes that have arrived so far have been told of. */
  onReadEnd(): void;
  /** Requests under way: what a lone one says is sent without waiting for the turn's end. */
  readonly streams: number;
  /** What PONG says of our load. */
  report(): LoadReport;
  /** The peer broke the protocol; the connection is being closed. */
  onFault(fault: HopFault): void;
}

/**
 * What both sides of a connection share: frames in and out, the connection's windows, bodies that wait for them, and the
 * bounds on what a peer may do.
 */
export class HopLink implements FrameSink, FlowLink {
  readonly limits: HopLimits;
  readonly output: FrameOutput;
  readonly #socket: Socket;
  readonly #user: LinkUser;
  readonly #now: () => number;
  readonly #reader: FrameReader;
  readonly #receive: ReceiveWindow;
  readonly #budget: ControlBudget;
  readonly #waiting = new Set<StreamFlow>();
  #allowed: number;
  #held = 0;
  #owed = 0;
  #reading = false;
  #scheduled = false;
  #hasSettings = false;
  #closed = false;
  /** Smoothed by whoever pings; 0 until measured. */
  roundTripMs = 0;

  constructor(socket: Socket, user: LinkUser, options: { readonly limits: HopLimits; readonly nowMs: () => number }) {
    this.limits = options.limits;
    this.#socket = socket;
    this.#user = user;
    this.#now = options.nowMs;
    this.#reader = new FrameReader(this, options.limits.headBytesMax);
    this.#receive = new ReceiveWindow(options.limits.connectionWindowMin, options.limits.connectionWindowMax);
    this.#receive.reset(options.nowMs());
    this.#budget = new ControlBudget(options.limits.controlFramesMax, options.limits.controlFramesPerSecond);
    this.#allowed = options.limits.connectionWindowMin;
    this.output = new FrameOutput(socket, () => this.#pump());
  }

  nowMs(): number {
    return this.#now();
  }

  /** The peer has spoken: whoever dialled knows that it was accepted. */
  get isProven(): boolean {
    return this.#hasSettings;
  }

  // --- in ---

  /** Reads what has arrived. */
  read(buffer: Buffer, from: number, to: number): void {
    if (this.#closed) return;
    this.#reading = true;
    this.#reader.read(buffer, from, to);
    if (!this.#closed) this.#user.onReadEnd();
    this.#reading = false;
    this.messageEnded();
  }

  onFrame(kind: number, end: boolean, stream: number, buffer: Buffer, from: number, to: number): void {
    if (kind === frameKinds.settings) return this.#onSettings(stream, buffer, from, to);
    if (!this.#hasSettings) return this.fail("protocol");
    switch (kind) {
      case frameKinds.request:
        this.#budget.earnMessage();
        this.#user.onStreamFrame(kind, end, stream, buffer, from, to);
        return;
      case frameKinds.response:
      case frameKinds.refusal:
      case frameKinds.trailers:
        this.#user.onStreamFrame(kind, end, stream, buffer, from, to);
        return;
      case frameKinds.reset:
        if (to - from < 1) return this.fail("protocol");
        if (this.#spend()) this.#user.onStreamFrame(kind, end, stream, buffer, from, to);
        return;
      default:
        if (this.#spend()) this.#onControl(kind, stream, buffer, from, to);
    }
  }

  onData(stream: number, buffer: Buffer, from: number, to: number, isLast: boolean, end: boolean): void {
    if (!this.#hasSettings) return this.fail("protocol");
    const bytes = to - from;
    if (isLast && !this.#spend()) return;
    this.#budget.earnBytes(bytes);
    if (bytes > 0) {
      if (!this.#receive.receive(bytes)) return this.fail("flow_control");
      this.#held += bytes;
      const flow = this.#user.flowOf(stream);
      if (flow === undefined) this.taken(bytes);
      else if (!flow.received(bytes)) return this.fail("flow_control");
    }
    this.#user.onStreamData(stream, buffer, from, to, end);
  }

  onOversized(): void {
    this.fail("oversized");
  }

  #onSettings(stream: number, buffer: Buffer, from: number, to: number): void {
    if (this.#hasSettings || stream !== 0 || to - from < preludeBytes.settings) return this.fail("protocol");
    const nameBytes = buffer[from + 6] ?? 0;
    if (to - from < preludeBytes.settings + nameBytes) return this.fail("protocol");
    this.#hasSettings = true;
    const name = buffer.toString("latin1", from + preludeBytes.settings, from + preludeBytes.settings + nameBytes);
    this.#user.onSettings(Math.max(1, buffer.readUInt32BE(from + 2)), name);
  }

  #onControl(kind: number, stream: number, buffer: Buffer, from: number, to: number): void {
    const length = to - from;
    switch (kind) {
      case frameKinds.window:
        if (length < 4) return this.fail("protocol");
        this.#onWindow(stream, buffer.readUInt32BE(from));
        return;
      case frameKinds.ping:
        if (length < 8) return this.fail("protocol");
        this.output.begin(frameKinds.pong, false, 0, preludeBytes.pong);
        this.output.putBytes(buffer, from, from + 8);
        this.putReport(this.#user.report());
        return;
      case frameKinds.pong:
        if (length < preludeBytes.pong) return this.fail("protocol");
        this.#user.onPong(buffer.readUInt32BE(from + 4), buffer, from + 8);
        return;
      case frameKinds.goaway:
        if (length < 5) return this.fail("protocol");
        this.#user.onGoaway(buffer.readUInt32BE(from), buffer[from + 4] ?? 0);
        return;
      default:
    }
  }

  #onWindow(stream: number, bytes: number): void {
    if (stream === 0) {
      this.#allowed += bytes;
      if (this.#allowed > windowMax) return this.fail("flow_control");
    } else {
      const flow = this.#user.flowOf(stream);
      if (flow === undefined) return;
      flow.allowed += bytes;
      if (flow.allowed > windowMax) return this.fail("flow_control");
    }
    this.#pump();
  }

  #spend(): boolean {
    if (this.#budget.spend(this.nowMs())) return true;
    this.fail("flood");
    return false;
  }

  // --- out ---

  /** Says who we are; the first thing on a connection. */
  sendSettings(instance: string): void {
    const name = instance.slice(0, 255);
    this.output.begin(frameKinds.settings, false, 0, preludeBytes.settings + name.length);
    this.output.putShort(hopVersion);
    this.output.putWord(this.limits.streamsMax);
    this.output.putByte(name.length);
    this.output.putText(name);
    this.touch();
  }

  putReport(report: LoadReport): void {
    this.output.putShort(Math.min(65_535, Math.round(report.queueDelayMs)));
    this.output.putShort(Math.min(65_535, Math.round(report.utilizationRatio * 1_000)));
    this.output.putShort(Math.min(65_535, Math.max(0, Math.floor(report.headroom))));
  }

  sendData(flow: StreamFlow, bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && this.#mayWrite) {
      const length = Math.min(to - at, this.limits.dataBytesMax, flow.allowed, this.#allowed);
      if (length <= 0) break;
      this.output.begin(frameKinds.data, false, flow.id, length);
      this.output.putBytes(bytes, at, at + length);
      flow.allowed -= length;
      this.#allowed -= length;
      at += length;
    }
    if (at > from) this.touch();
    return at - from;
  }

  sendText(flow: StreamFlow, text: string): boolean {
    const { length } = text;
    if (length > this.limits.dataBytesMax || length > flow.allowed || length > this.#allowed || !this.#mayWrite) return false;
    this.output.begin(frameKinds.data, true, flow.id, length);
    this.output.putText(text);
    flow.allowed -= length;
    this.#allowed -= length;
    this.touch();
    return true;
  }

  sendWindow(stream: number, bytes: number): void {
    this.output.begin(frameKinds.window, false, stream, 4);
    this.output.putWord(bytes);
    this.touch();
  }

  sendReset(stream: number, code: number): void {
    this.output.begin(frameKinds.reset, true, stream, 1);
    this.output.putByte(code);
    this.touch();
  }

  sendPing(nonce: number): void {
    this.output.begin(frameKinds.ping, false, 0, 8);
    this.output.putWord(0);
    this.output.putWord(nonce);
    this.touch();
  }

  sendGoaway(lastStream: number, code: number): void {
    this.output.begin(frameKinds.goaway, false, 0, 5);
    this.output.putWord(lastStream);
    this.output.putByte(code);
    this.touch();
  }

  /** Something was put out: it leaves with the end of this turn of the event loop. */
  touch(): void {
    if (this.#reading || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  /** A message is put out whole: while nothing else is under way that could join it, it leaves at once. */
  messageEnded(): void {
    if (this.#reading || this.output.isEmpty) return;
    if (this.#user.streams <= 1) this.output.flush();
    else this.touch();
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    this.output.flush();
  };

  get #mayWrite(): boolean {
    return this.output.unsentBytes < this.limits.unsentBytesMax;
  }

  taken(bytes: number): void {
    this.#held -= bytes;
    this.#owed += bytes;
    if (this.#held > this.limits.heldBytesMax || this.#closed) return;
    const owed = this.#owed;
    this.#owed = 0;
    const raised = this.#receive.take(owed, this.nowMs(), this.roundTripMs);
    if (raised > 0) this.sendWindow(0, raised);
  }

  // --- bodies that wait ---

  waitFor(flow: StreamFlow): void {
    this.#waiting.add(flow);
  }

  forgetFlow(flow: StreamFlow): void {
    this.#waiting.delete(flow);
  }

  /** One frame of each that waits, in turn, while the windows and the socket allow. */
  #pump(): void {
    let progress = true;
    while (progress && this.#waiting.size > 0 && this.#mayWrite) {
      progress = false;
      for (const flow of [...this.#waiting]) {
        if (!this.#mayWrite) return;
        if (!flow.isAllowed) continue;
        const before = this.#allowed;
        const more = flow.pump();
        if (!more) this.#waiting.delete(flow);
        if (!more || this.#allowed !== before) progress = true;
      }
    }
  }

  // --- its end ---

  /** The peer broke the protocol: it hears why, and the connection closes. */
  fail(fault: HopFault): void {
    if (this.#closed) return;
    this.sendGoaway(0, faultCodes[fault]);
    this.close();
    this.#user.onFault(fault);
  }

  /** Sends what is gathered and ends the connection. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.stop();
    this.output.flush();
    this.#socket.destroySoon();
  }
}
