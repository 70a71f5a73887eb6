import { connect } from "node:net";
import type { Socket } from "node:net";

/** Whose connection it is. `T` is what the owner knows of the request on it. */
export interface ConnectionOwner<T> {
  readonly onAnswer: (connection: LoadConnection<T>, request: T, status: number) => void;
  /** The other side closed it, with a request on it or without. */
  readonly onClosed: (connection: LoadConnection<T>, request: T | undefined) => void;
}

/** One keep-alive connection to this host with at most one request on it: the cheapest client that there is. */
export class LoadConnection<T> {
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner<T>;
  #request: T | undefined;
  #reader = new AnswerReader();

  constructor(port: number, owner: ConnectionOwner<T>) {
    this.#owner = owner;
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true, autoSelectFamily: false });
    this.#socket.on("data", (bytes) => this.#onData(bytes));
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
    this.#reader = new AnswerReader();
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

  /** The status when `bytes` complete the answer, else 0. */
  push(bytes: Buffer): number {
    this.#text += bytes.toString("latin1");
    if (this.#bodyFrom === -1) this.#readHead();
    if (this.#bodyFrom === -1) return 0;
    const complete = this.#length >= 0 ? this.#text.length >= this.#bodyFrom + this.#length : this.#text.endsWith("\r\n0\r\n\r\n");
    return complete ? Number(this.#text.slice(9, 12)) : 0;
  }

  #readHead(): void {
    const end = this.#text.indexOf("\r\n\r\n");
    if (end === -1) return;
    this.#bodyFrom = end + 4;
    const head = this.#text.slice(0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (length !== null) this.#length = Number(length[1]);
    this.#closes = /\r\nconnection: *close/i.test(head);
  }
}
