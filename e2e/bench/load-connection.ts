import { connect } from "node:net";
import type { Socket } from "node:net";

/** Whose connection it is. `T` is what the owner knows of the request on it. */
export interface ConnectionOwner<T> {
  readonly onAnswer: (connection: LoadConnection<T>, request: T, status: number) => void;
  /** The other side closed it, with a request on it or without. */
  readonly onClosed: (connection: LoadConnection<T>, request: T | undefined) => void;
}

/** Every answer is read to its end before the next read, so that all connections share what they read into. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

/** One keep-alive connection to this host with at most one request on it: the cheapest client that there is. */
export class LoadConnection<T> {
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner<T>;
  #request: T | undefined;
  readonly #reader = new AnswerReader();

  constructor(port: number, owner: ConnectionOwner<T>) {
    this.#owner = owner;
    const onread = {
      buffer: readBuffer,
      callback: (length: number) => {
        this.#onData(readBuffer.subarray(0, length));
        return true;
      },
    };
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true, autoSelectFamily: false, onread });
    this.#socket.on("error", () => this.#socket.destroy());
    this.#socket.on("close", () => owner.onClosed(this, this.#request));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  send(head: Buffer, request: T): void {
    this.#request = request;
    this.#socket.write(head);
  }

  /** Leaves at once, and says nothing to the owner. */
  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    const status = this.#reader.push(bytes);
    const request = this.#request;
    if (status === 0 || request === undefined) return;
    this.#request = undefined;
    // The next request must not meet a connection that the other side is about to close.
    if (this.#reader.closes) this.#socket.destroy();
    this.#reader.next();
    this.#owner.onAnswer(this, request, status);
  }
}

/** Finds the end of one answer; knows a Content-Length and chunks, which is all that is sent to it. */
export class AnswerReader {
  #text = "";
  #bodyFrom = -1;
  #length = -1;
  #closes = false;

  /** The answer's head says that its connection ends. */
  get closes(): boolean {
    return this.#closes;
  }

  /** Makes it ready for another answer. */
  next(): void {
    this.#text = "";
    this.#bodyFrom = -1;
    this.#length = -1;
    this.#closes = false;
  }

  /** The status when `bytes` complete the answer, else 0. */
  push(bytes: Buffer): number {
    if (this.#text === "") {
      // Nearly every answer comes in one piece, and of that its body is only counted.
      const end = bytes.indexOf("\r\n\r\n", 0, "latin1");
      if (end !== -1) {
        this.#readHead(bytes.toString("latin1", 0, end));
        if (this.#length >= 0 && bytes.length >= end + 4 + this.#length) return statusOf(bytes);
      }
    }
    this.#text += bytes.toString("latin1");
    if (this.#bodyFrom === -1) {
      const end = this.#text.indexOf("\r\n\r\n");
      if (end === -1) return 0;
      this.#bodyFrom = end + 4;
      this.#readHead(this.#text.slice(0, end));
    }
    const complete = this.#length >= 0 ? this.#text.length >= this.#bodyFrom + this.#length : this.#text.endsWith("\r\n0\r\n\r\n");
    return complete ? Number(this.#text.slice(9, 12)) : 0;
  }

  #readHead(text: string): void {
    const head = text.toLowerCase();
    const length = head.indexOf(lengthName);
    if (length !== -1) this.#length = Number.parseInt(head.slice(length + lengthName.length), 10);
    this.#closes = /\r\nconnection: *close/.test(head);
  }
}

const lengthName = "\r\ncontent-length:";

/** Of an answer that begins with `HTTP/1.1 `. */
function statusOf(bytes: Buffer): number {
  return ((bytes[9] ?? 0) - 48) * 100 + ((bytes[10] ?? 0) - 48) * 10 + (bytes[11] ?? 0) - 48;
}
