import { frameKinds } from "./frames.ts";
import type { FrameOutput } from "./frame-output.ts";
import type { HopLimits } from "./frames.ts";
import { ReceiveWindow } from "./receive-window.ts";

/** The connection, as far as its streams' bodies need it. */
export interface FlowLink {
  readonly limits: HopLimits;
  readonly output: FrameOutput;
  readonly roundTripMs: number;
  nowMs(): number;
  /** Sends of bytes[from, to) what the windows allow; returns how many. */
  sendData(flow: StreamFlow, bytes: Buffer, from: number, to: number): number;
  /** A whole small body and its end in one frame; false when it does not fit now. */
  sendText(flow: StreamFlow, text: string): boolean;
  sendWindow(stream: number, bytes: number): void;
  /** Something was put out. */
  touch(): void;
  /** Received bytes have been taken by their reader. */
  taken(bytes: number): void;
  waitFor(flow: StreamFlow): void;
  forgetFlow(flow: StreamFlow): void;
}

/** Whoever writes a body hears when what waited has left. */
export interface FlowOwner {
  onFlowWritable(): void;
  /** What waited has left, and with it the body's end. */
  onFlowEnd(): void;
}

/**
 * The body side of one stream, both ways: what may be sent, what waits for that, and what was received and not yet taken.
 * Part of a stream object that is used again; `open` makes it new.
 */
export class StreamFlow {
  readonly #owner: FlowOwner;
  #link: FlowLink | undefined = undefined;
  #receive: ReceiveWindow | undefined = undefined;
  id = 0;
  /** Bytes that the peer still allows. */
  allowed = 0;
  #waiting: Buffer[] = [];
  #endWaits = false;
  #trailers = "";
  /** We have said our last on this stream. */
  sentEnd = false;
  /** The peer has. */
  receivedEnd = false;
  #paused = false;
  #untaken = 0;

  constructor(owner: FlowOwner) {
    this.#owner = owner;
  }

  /** Begins a stream on `link`. */
  open(link: FlowLink, id: number): void {
    const { limits } = link;
    if (this.#link !== link || this.#receive === undefined) this.#receive = new ReceiveWindow(limits.streamWindowMin, limits.streamWindowMax);
    this.#link = link;
    this.id = id;
    this.allowed = limits.streamWindowMin;
    if (this.#waiting.length > 0) this.#waiting = [];
    this.#endWaits = false;
    this.#trailers = "";
    this.sentEnd = false;
    this.receivedEnd = false;
    this.#paused = false;
    this.#untaken = 0;
    this.#receive.reset(link.nowMs());
  }

  /** Over, whatever is left of it: what was received and not taken counts against the connection no longer. */
  close(): void {
    const link = this.#link;
    if (link === undefined || this.id === 0) return;
    link.forgetFlow(this);
    link.taken(this.#untaken);
    this.#untaken = 0;
    if (this.#waiting.length > 0) this.#waiting = [];
    this.#endWaits = false;
    this.id = 0;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0 || this.#endWaits;
  }

  /** More of our body. False when some of it waits: say no more until `onFlowWritable`. */
  write(bytes: Buffer, from: number, to: number): boolean {
    const link = this.#link as FlowLink;
    let at = from;
    if (!this.isWaiting) at += link.sendData(this, bytes, from, to);
    if (at === to) return true;
    this.#waiting.push(Buffer.from(bytes.subarray(at, to)));
    link.waitFor(this);
    return false;
  }

  /** Our body is complete. */
  end(trailers: string): void {
    if (this.isWaiting) {
      this.#endWaits = true;
      this.#trailers = trailers;
      return;
    }
    this.#sendEnd(trailers);
  }

  /** A body that is there as a whole, in latin1 text, and its end. */
  writeLast(text: string, trailers: string): void {
    const link = this.#link as FlowLink;
    if (trailers === "" && link.sendText(this, text)) {
      this.sentEnd = true;
      return;
    }
    const bytes = Buffer.from(text, "latin1");
    this.write(bytes, 0, bytes.length);
    this.end(trailers);
  }

  /** Sends of what waits at most one frame. True when more waits. */
  pump(): boolean {
    const link = this.#link as FlowLink;
    const first = this.#waiting[0];
    if (first !== undefined) {
      const sent = link.sendData(this, first, 0, Math.min(first.length, link.limits.dataBytesMax));
      if (sent === 0) return true;
      if (sent === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(sent);
      if (this.#waiting.length > 0) return true;
    }
    if (this.#endWaits) {
      this.#endWaits = false;
      this.#sendEnd(this.#trailers);
      this.#owner.onFlowEnd();
      return false;
    }
    this.#owner.onFlowWritable();
    return this.isWaiting;
  }

  /** True when it could send if the connection let it. */
  get isAllowed(): boolean {
    return this.#waiting.length === 0 ? this.#endWaits : this.allowed > 0;
  }

  /** Counts a piece of the peer's body; false when the peer sent more than it may. */
  received(bytes: number): boolean {
    const receive = this.#receive as ReceiveWindow;
    if (!receive.receive(bytes)) return false;
    this.#untaken += bytes;
    if (!this.#paused) this.#take();
    return true;
  }

  /** Whoever reads the peer's body is slow: the window stays as it is. */
  pause(): void {
    this.#paused = true;
  }

  unpause(): void {
    this.#paused = false;
    if (this.#untaken > 0) this.#take();
  }

  #take(): void {
    const link = this.#link as FlowLink;
    const bytes = this.#untaken;
    this.#untaken = 0;
    link.taken(bytes);
    if (this.receivedEnd) return;
    const raised = (this.#receive as ReceiveWindow).take(bytes, link.nowMs(), link.roundTripMs);
    if (raised > 0) link.sendWindow(this.id, raised);
  }

  #sendEnd(trailers: string): void {
    const link = this.#link as FlowLink;
    this.sentEnd = true;
    if (trailers === "") {
      link.output.begin(frameKinds.data, true, this.id, 0);
    } else {
      link.output.begin(frameKinds.trailers, true, this.id, trailers.length);
      link.output.putText(trailers);
    }
    link.touch();
  }
}
