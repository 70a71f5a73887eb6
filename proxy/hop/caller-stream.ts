import type { HttpFault } from "../http/http-fault.ts";
import type { Http1Parser } from "../http/http1-parser.ts";
import type { ConnectionUser, HopRefusal, LossKind, OutgoingRequest, Upstream } from "../upstream/upstream.ts";
import { BodyLength, unknownLength } from "./body-length.ts";
import { durationField, frameKinds, preludeBytes, resetCodes } from "./frames.ts";
import type { HopLink } from "./hop-link.ts";
import { StreamFlow } from "./stream-flow.ts";
import type { FlowOwner } from "./stream-flow.ts";

/** The session of a stream, as its streams see it. */
export interface StreamOwner {
  readonly link: HopLink;
  nextId(): number;
  /** Nothing was sent on the stream. */
  unused(stream: CallerStream): void;
  opened(stream: CallerStream): void;
  /** The stream is over on both sides. */
  released(stream: CallerStream): void;
  /** We want nothing more of it. */
  giveUp(stream: CallerStream, code: number): void;
  lend(): void;
  readTrailers(buffer: Buffer, from: number, to: number): string | undefined;
}

/** One request on a session, on the caller's side. Used again by its session when it is over. */
export class CallerStream implements Upstream, FlowOwner {
  readonly flow: StreamFlow;
  readonly #session: StreamOwner;
  #user: ConnectionUser | undefined = undefined;
  #isHead = false;
  #hasHead = false;
  readonly #bodyLength = new BodyLength();
  /** It stands in its session's list of streams that this read has touched. */
  touched = false;
  /** A session that answered nobody yet cannot have gone stale. */
  readonly mayBeStale = false;

  constructor(session: StreamOwner) {
    this.#session = session;
    this.flow = new StreamFlow(this);
  }

  get id(): number {
    return this.flow.id;
  }

  // --- for the user ---

  send(user: ConnectionUser, request: OutgoingRequest): void {
    const session = this.#session;
    const { link } = session;
    this.#user = user;
    this.#isHead = request.method === "HEAD";
    this.#hasHead = false;
    this.#bodyLength.expect(unknownLength);
    this.flow.open(link, session.nextId());
    session.opened(this);
    const hasBody = request.requestFraming !== "none";
    const head = headText(request);
    this.#putRequest(link, request, head, !hasBody);
    if (!hasBody) {
      this.flow.sentEnd = true;
    } else if (request.requestComplete) {
      this.flow.writeLast(request.requestBody, request.requestTrailers);
    } else if (request.requestBody !== "") {
      const held = Buffer.from(request.requestBody, "latin1");
      this.flow.write(held, 0, held.length);
    }
    link.messageEnded();
  }

  #putRequest(link: HopLink, request: OutgoingRequest, head: string, end: boolean): void {
    const { output } = link;
    output.begin(frameKinds.request, end, this.flow.id, preludeBytes.request + head.length);
    output.putWord(durationField(request.hopLeftMs(link.nowMs())));
    output.putWord(durationField(request.idleMs));
    output.putByte(Math.min(255, request.attempt + request.incomingAttempt - 1));
    output.putByte(request.priority);
    output.putShort(0);
    output.putText(head);
  }

  release(): void {
    this.#session.unused(this);
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.flow.id === 0) return true;
    return this.flow.write(buffer, start, end);
  }

  endBody(trailers: string): void {
    if (this.flow.id !== 0) this.flow.end(trailers);
  }

  lend(): void {
    this.#session.lend();
  }

  pause(): void {
    this.flow.pause();
  }

  unpause(): void {
    if (this.flow.id !== 0) this.flow.unpause();
  }

  discard(movesOn = false): void {
    if (this.flow.id === 0) return;
    this.#user = undefined;
    this.#session.giveUp(this, movesOn ? resetCodes.movedOn : resetCodes.cancelled);
  }

  destroy(): void {
    this.discard();
  }

  // --- from the session ---

  onResponse(parser: Http1Parser, buffer: Buffer, from: number, to: number, end: boolean): void {
    const user = this.#user;
    if (user === undefined) return;
    if (this.#hasHead) return this.#malformed();
    parser.answersHead = this.#isHead;
    const fault = parser.readBlock(buffer, from, to);
    if (fault !== undefined || parser.status < 200) return this.#malformed(fault);
    this.#hasHead = true;
    if (parser.framing === "length") this.#bodyLength.expect(parser.contentLength);
    else if (parser.framing === "none") this.#bodyLength.expect(0);
    // Nothing is ever framed by the end of a connection here: what has no length ends with its stream.
    else parser.framing = "chunked";
    if (end && this.#bodyLength.isShort) return this.#malformed();
    const { id } = this.flow;
    user.onHead(parser);
    if (this.flow.id === id && end) this.#complete("");
  }

  onData(buffer: Buffer, from: number, to: number, end: boolean): void {
    const user = this.#user;
    if (user === undefined) return;
    if (!this.#hasHead) return this.#malformed();
    const bytes = to - from;
    if (!this.#bodyLength.take(bytes, end)) return this.#malformed();
    const { id } = this.flow;
    if (bytes > 0) user.onBody(buffer, from, to);
    if (this.flow.id === id && end) this.#complete("");
  }

  onTrailers(buffer: Buffer, from: number, to: number): void {
    if (this.#user === undefined) return;
    if (!this.#hasHead || this.#bodyLength.isShort) return this.#malformed();
    const trailers = this.#session.readTrailers(buffer, from, to);
    if (trailers === undefined) this.#malformed();
    else this.#complete(trailers);
  }

  onRefusal(refusal: HopRefusal): void {
    const user = this.#user;
    if (this.#hasHead) return this.#malformed();
    this.#leave();
    user?.onRefused(refusal);
  }

  onReset(code: number): void {
    const user = this.#user;
    this.#leave();
    user?.onLost(code === resetCodes.untaken ? "untaken" : "closed", false);
  }

  onReadEnd(): void {
    this.#user?.onReadEnd();
  }

  /** Its connection says nothing any more. */
  onSilence(): void {
    this.#user?.onSilence();
  }

  /** Its connection has ended, or will not take it. */
  lose(kind: LossKind, isTold: boolean): void {
    const user = this.#user;
    this.#user = undefined;
    this.#session.released(this);
    user?.onLost(kind, isTold);
  }

  onFlowWritable(): void {
    this.#user?.onWritable();
  }

  onFlowEnd(): void {
    // The response decides when the stream is over.
  }

  #complete(trailers: string): void {
    const user = this.#user;
    this.#leave();
    user?.onComplete(trailers);
  }

  /** Over for us; when our own body is not out yet, the peer hears that no more comes. */
  #leave(): void {
    this.#user = undefined;
    this.flow.receivedEnd = true;
    if (this.flow.sentEnd) this.#session.released(this);
    else this.#session.giveUp(this, resetCodes.cancelled);
  }

  #malformed(fault?: HttpFault): void {
    const user = this.#user;
    this.#user = undefined;
    this.#session.giveUp(this, resetCodes.malformed);
    user?.onLost("protocol", false, fault);
  }
}

/** The request's head as one text. A body that is held whole has a known length, however it came. */
function headText(request: OutgoingRequest): string {
  const lines = `${request.method} ${request.target} HTTP/1.1\r\n${request.requestFields}`;
  if (request.requestFraming === "length") return `${lines}content-length: ${request.requestLength}\r\n\r\n`;
  if (request.requestFraming === "chunked" && request.requestComplete && request.requestTrailers === "") return `${lines}content-length: ${request.requestBody.length}\r\n\r\n`;
  return `${lines}\r\n`;
}
