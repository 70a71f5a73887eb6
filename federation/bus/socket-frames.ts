import { payloadBytesMax, subjectLengthMax } from "./subject.ts";

/**
 * The protocol between a socket bus and its hub. A frame is a length (4 bytes, big-endian, of what follows), a type
 * (1 byte) and a body. Both sides begin with "hello" and its version; another version ends the connection.
 */
export type SocketFrame =
  | { readonly kind: "hello"; readonly version: number }
  | { readonly kind: "subscribe"; readonly id: number; readonly pattern: string }
  | { readonly kind: "unsubscribe"; readonly id: number }
  | { readonly kind: "publish"; readonly subject: string; readonly replyTo: string; readonly payload: Uint8Array }
  /** To a subscriber; `id` is its own number for the subscription. */
  | { readonly kind: "message"; readonly id: number; readonly subject: string; readonly replyTo: string; readonly payload: Uint8Array }
  /** To a publisher: nobody listens on the subject of the request whose answer was to go to `replyTo`. */
  | { readonly kind: "nobody"; readonly replyTo: string }
  | { readonly kind: "ping" }
  | { readonly kind: "pong" };

export const socketProtocolVersion = 1;

const types = { hello: 1, subscribe: 2, unsubscribe: 3, publish: 4, message: 5, nobody: 6, ping: 7, pong: 8 } as const;

/** Subjects are ASCII, so their characters are their bytes. */
const frameBytesMax = payloadBytesMax + 2 * subjectLengthMax + 16;
const lengthBytes = 4;

/** What a peer sent is not this protocol; the connection cannot be used further. */
export class SocketFrameError extends Error {}

/** The bytes of one frame. */
export function encodeFrame(frame: SocketFrame): Buffer {
  const type = types[frame.kind];
  switch (frame.kind) {
    case "hello":
      return assemble(type, Buffer.of(frame.version));
    case "subscribe":
      return assemble(type, uint32(frame.id), Buffer.from(frame.pattern, "latin1"));
    case "unsubscribe":
      return assemble(type, uint32(frame.id));
    case "publish":
      return assemble(type, short(frame.subject), short(frame.replyTo), frame.payload);
    case "message":
      return assemble(type, uint32(frame.id), short(frame.subject), short(frame.replyTo), frame.payload);
    case "nobody":
      return assemble(type, Buffer.from(frame.replyTo, "latin1"));
    case "ping":
    case "pong":
    default:
      return assemble(type);
  }
}

/** Cuts a stream of bytes into frames; holds at most one incomplete frame. */
export class SocketFrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** Frames that `chunk` completes. @throws SocketFrameError */
  push(chunk: Buffer): readonly SocketFrame[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const frames: SocketFrame[] = [];
    for (;;) {
      const frameBytes = this.#peekLength();
      if (frameBytes === undefined || this.#bytes < lengthBytes + frameBytes) return frames;
      const whole = this.#take(lengthBytes + frameBytes);
      frames.push(decode(whole.subarray(lengthBytes)));
    }
  }

  #peekLength(): number | undefined {
    if (this.#bytes < lengthBytes) return undefined;
    let head = this.#chunks[0] ?? Buffer.alloc(0);
    if (head.length < lengthBytes) {
      head = Buffer.concat(this.#chunks);
      this.#chunks = [head];
    }
    const length = head.readUInt32BE(0);
    if (length === 0 || length > frameBytesMax) throw new SocketFrameError(`a frame of ${length} bytes`);
    return length;
  }

  #take(bytes: number): Buffer {
    const all = this.#chunks.length === 1 && this.#chunks[0] !== undefined ? this.#chunks[0] : Buffer.concat(this.#chunks);
    const rest = all.subarray(bytes);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#bytes = rest.length;
    return all.subarray(0, bytes);
  }
}

function decode(frame: Buffer): SocketFrame {
  const body = new Body(frame.subarray(1));
  switch (frame.readUInt8(0)) {
    case types.hello:
      return { kind: "hello", version: body.uint8() };
    case types.subscribe:
      return { kind: "subscribe", id: body.uint32(), pattern: body.restAsText() };
    case types.unsubscribe:
      return { kind: "unsubscribe", id: body.uint32() };
    case types.publish:
      return { kind: "publish", subject: body.short(), replyTo: body.short(), payload: body.rest() };
    case types.message:
      return { kind: "message", id: body.uint32(), subject: body.short(), replyTo: body.short(), payload: body.rest() };
    case types.nobody:
      return { kind: "nobody", replyTo: body.restAsText() };
    case types.ping:
      return { kind: "ping" };
    case types.pong:
      return { kind: "pong" };
    default:
      throw new SocketFrameError(`a frame of unknown type ${frame[0]}`);
  }
}

/** Reads fields off the front of a frame's body. */
class Body {
  #left: Buffer;

  constructor(bytes: Buffer) {
    this.#left = bytes;
  }

  uint8(): number {
    return this.#cut(1).readUInt8(0);
  }

  uint32(): number {
    return this.#cut(4).readUInt32BE(0);
  }

  short(): string {
    return this.#cut(this.#cut(2).readUInt16BE(0)).toString("latin1");
  }

  restAsText(): string {
    return this.rest().toString("latin1");
  }

  rest(): Buffer {
    return this.#cut(this.#left.length);
  }

  #cut(bytes: number): Buffer {
    if (bytes > this.#left.length) throw new SocketFrameError("a frame that ends too early");
    const cut = this.#left.subarray(0, bytes);
    this.#left = this.#left.subarray(bytes);
    return cut;
  }
}

function assemble(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const bodyBytes = parts.reduce((sum, part) => sum + part.byteLength, 1);
  const head = Buffer.allocUnsafe(lengthBytes + 1);
  head.writeUInt32BE(bodyBytes, 0);
  head.writeUInt8(type, lengthBytes);
  return Buffer.concat([head, ...parts], lengthBytes + bodyBytes);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

function short(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(2 + text.length);
  bytes.writeUInt16BE(text.length, 0);
  bytes.write(text, 2, "latin1");
  return bytes;
}
