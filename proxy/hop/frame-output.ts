import type { Socket } from "node:net";
import { endFlag, frameHeadBytes } from "./frames.ts";

/** Frames of one turn usually fit. */
const bufferBytes = 32_768;
/** Buffers kept for later turns. */
const sparesMax = 2;

/**
 * Gathers the frames of one turn of the event loop and writes them at once: one system call and few TLS records for many
 * requests. A buffer that was handed to the socket is used again only after its write has ended.
 */
export class FrameOutput {
  readonly #socket: Socket;
  readonly #onWritten: () => void;
  #buffer: Buffer | undefined = undefined;
  #at = 0;
  readonly #spares: Buffer[] = [];
  readonly #writing: Buffer[] = [];
  /** Handed to the socket and not yet taken by it. */
  unsentBytes = 0;

  /** `onWritten` is called after each write that has ended. */
  constructor(socket: Socket, onWritten: () => void) {
    this.#socket = socket;
    this.#onWritten = onWritten;
  }

  get isEmpty(): boolean {
    return this.#at === 0;
  }

  /** Begins a frame whose payload is `length` bytes; exactly so many are then to be put. */
  begin(kind: number, end: boolean, stream: number, length: number): void {
    const buffer = this.#reserve(frameHeadBytes + length);
    const at = this.#at;
    buffer[at] = length >>> 16;
    buffer[at + 1] = (length >>> 8) & 255;
    buffer[at + 2] = length & 255;
    buffer[at + 3] = end ? kind | endFlag : kind;
    buffer[at + 4] = stream >>> 24;
    buffer[at + 5] = (stream >>> 16) & 255;
    buffer[at + 6] = (stream >>> 8) & 255;
    buffer[at + 7] = stream & 255;
    this.#at = at + frameHeadBytes;
  }

  putByte(value: number): void {
    (this.#buffer as Buffer)[this.#at++] = value;
  }

  putShort(value: number): void {
    const buffer = this.#buffer as Buffer;
    buffer[this.#at++] = (value >>> 8) & 255;
    buffer[this.#at++] = value & 255;
  }

  putWord(value: number): void {
    const buffer = this.#buffer as Buffer;
    buffer[this.#at++] = value >>> 24;
    buffer[this.#at++] = (value >>> 16) & 255;
    buffer[this.#at++] = (value >>> 8) & 255;
    buffer[this.#at++] = value & 255;
  }

  /** `text` must be latin1: as many bytes as characters. */
  putText(text: string): void {
    (this.#buffer as Buffer).write(text, this.#at, text.length, "latin1");
    this.#at += text.length;
  }

  putBytes(bytes: Buffer, from: number, to: number): void {
    bytes.copy(this.#buffer as Buffer, this.#at, from, to);
    this.#at += to - from;
  }

  /** Writes what is gathered. */
  flush(): void {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#at === 0) return;
    const length = this.#at;
    this.#buffer = undefined;
    this.#at = 0;
    if (!this.#socket.writable) return;
    this.#writing.push(buffer);
    this.unsentBytes += length;
    this.#socket.write(length === buffer.length ? buffer : buffer.subarray(0, length), this.#ended);
  }

  /** Writes end in the order in which they began. */
  readonly #ended = (): void => {
    const buffer = this.#writing.shift();
    if (buffer === undefined) return;
    this.unsentBytes = this.#socket.writableLength;
    if (buffer.length === bufferBytes && this.#spares.length < sparesMax) this.#spares.push(buffer);
    this.#onWritten();
  };

  #reserve(bytes: number): Buffer {
    const current = this.#buffer;
    if (current !== undefined && current.length - this.#at >= bytes) return current;
    if (current !== undefined) this.flush();
    const next = bytes > bufferBytes ? Buffer.allocUnsafeSlow(bytes) : (this.#spares.pop() ?? Buffer.allocUnsafeSlow(bufferBytes));
    this.#buffer = next;
    return next;
  }
}
