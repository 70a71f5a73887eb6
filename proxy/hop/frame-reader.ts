import { endFlag, frameHeadBytes, frameKinds, kindMask } from "./frames.ts";

/** Who hears what a reader reads. Buffers are lent: offsets are valid only during the call. */
export interface FrameSink {
  /** A whole frame of any kind but DATA. */
  onFrame(kind: number, end: boolean, stream: number, buffer: Buffer, from: number, to: number): void;
  /** Bytes of a DATA frame, as they arrive; `isLast` with the frame's last piece, `end` only then. An empty frame is one call. */
  onData(stream: number, buffer: Buffer, from: number, to: number, isLast: boolean, end: boolean): void;
  /** A frame longer than its kind allows: nothing more is read. */
  onOversized(kind: number): void;
}

/**
 * Frames out of bytes that are split in any way. A frame that lies whole in the bytes given is read in place, a DATA frame is
 * passed on in pieces, and only other frames that arrive in parts are gathered, within the bound.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #payloadMax: number;
  /** A head or a frame that came in part. */
  #carry: Buffer = Buffer.alloc(0);
  #carried = 0;
  // The DATA frame that is being passed on.
  #dataLeft = 0;
  #dataStream = 0;
  #dataEnd = false;
  #stopped = false;

  constructor(sink: FrameSink, payloadMax: number) {
    this.#sink = sink;
    this.#payloadMax = payloadMax;
  }

  /** Reads nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#carry = Buffer.alloc(0);
    this.#carried = 0;
  }

  /** Reads buffer[from, to). */
  read(buffer: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to && !this.#stopped) {
      if (this.#dataLeft > 0) at = this.#readData(buffer, at, to);
      else if (this.#carried > 0) at = this.#readCarried(buffer, at, to);
      else at = this.#readFrame(buffer, at, to);
    }
  }

  #readFrame(buffer: Buffer, at: number, to: number): number {
    if (to - at < frameHeadBytes) return this.#keep(buffer, at, to);
    const length = ((buffer[at] ?? 0) << 16) | ((buffer[at + 1] ?? 0) << 8) | (buffer[at + 2] ?? 0);
    const kind = (buffer[at + 3] ?? 0) & kindMask;
    if (kind === frameKinds.data) return this.#beginData(buffer, at, length);
    if (length > this.#payloadMax) {
      this.stop();
      this.#sink.onOversized(kind);
      return to;
    }
    const payload = at + frameHeadBytes;
    if (to - payload < length) return this.#keep(buffer, at, to);
    this.#sink.onFrame(kind, ((buffer[at + 3] ?? 0) & endFlag) !== 0, streamAt(buffer, at), buffer, payload, payload + length);
    return payload + length;
  }

  #beginData(buffer: Buffer, at: number, length: number): number {
    const end = ((buffer[at + 3] ?? 0) & endFlag) !== 0;
    const stream = streamAt(buffer, at);
    const payload = at + frameHeadBytes;
    if (length === 0) {
      this.#sink.onData(stream, buffer, payload, payload, true, end);
      return payload;
    }
    this.#dataLeft = length;
    this.#dataStream = stream;
    this.#dataEnd = end;
    return payload;
  }

  #readData(buffer: Buffer, at: number, to: number): number {
    const taken = Math.min(this.#dataLeft, to - at);
    this.#dataLeft -= taken;
    const isLast = this.#dataLeft === 0;
    this.#sink.onData(this.#dataStream, buffer, at, at + taken, isLast, isLast && this.#dataEnd);
    return at + taken;
  }

  #keep(buffer: Buffer, at: number, to: number): number {
    this.#reserve(to - at);
    buffer.copy(this.#carry, 0, at, to);
    this.#carried = to - at;
    return to;
  }

  /** Completes what is carried: first its head, then, knowing the length, the frame. */
  #readCarried(buffer: Buffer, at: number, to: number): number {
    let from = at;
    if (this.#carried < frameHeadBytes) {
      from = this.#gather(buffer, from, to, frameHeadBytes);
      if (this.#carried < frameHeadBytes) return from;
    }
    const carry = this.#carry;
    const length = ((carry[0] ?? 0) << 16) | ((carry[1] ?? 0) << 8) | (carry[2] ?? 0);
    const kind = (carry[3] ?? 0) & kindMask;
    if (kind === frameKinds.data || length > this.#payloadMax) {
      this.#carried = 0;
      this.#readFrame(carry, 0, frameHeadBytes);
      return from;
    }
    from = this.#gather(buffer, from, to, frameHeadBytes + length);
    if (this.#carried < frameHeadBytes + length) return from;
    this.#carried = 0;
    this.#readFrame(this.#carry, 0, frameHeadBytes + length);
    return from;
  }

  #gather(buffer: Buffer, at: number, to: number, wanted: number): number {
    const taken = Math.min(wanted - this.#carried, to - at);
    this.#reserve(this.#carried + taken);
    buffer.copy(this.#carry, this.#carried, at, at + taken);
    this.#carried += taken;
    return at + taken;
  }

  #reserve(bytes: number): void {
    if (this.#carry.length >= bytes) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(1_024, 2 * bytes));
    this.#carry.copy(larger, 0, 0, this.#carried);
    this.#carry = larger;
  }
}

function streamAt(buffer: Buffer, at: number): number {
  return (((buffer[at + 4] ?? 0) << 24) | ((buffer[at + 5] ?? 0) << 16) | ((buffer[at + 6] ?? 0) << 8) | (buffer[at + 7] ?? 0)) >>> 0;
}
