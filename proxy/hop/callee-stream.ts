import type { ClientIdentity } from "../http/server-connection.ts";
import { Exchange } from "../http/exchange.ts";
import type { ClientSide, Stage } from "../http/exchange.ts";
import { copyFields, droppedFromRequest, readKnownFields } from "../http/head-fields.ts";
import type { Http1Parser } from "../http/http1-parser.ts";
import { claimPriority, noPriorities } from "../http/priority-claim.ts";
import { responseFlags } from "../http/response-flag.ts";
import { endExchange, hearResponse, revokeExchange, runStages } from "../http/run-stages.ts";
import type { TimerOwner, TimingWheel } from "../http/timing-wheel.ts";
import { WheelTimer } from "../http/timing-wheel.ts";
import { BodyLength, unknownLength } from "./body-length.ts";
import { durationOf, frameKinds, preludeBytes, resetCodes } from "./frames.ts";
import type { HopLink } from "./hop-link.ts";
import { StreamFlow } from "./stream-flow.ts";
import type { FlowOwner } from "./stream-flow.ts";
import { defaultPriority } from "#federation/model/priority-class.ts";
import type { LoadReport } from "../admission/load-report.ts";

/** The session of a stream, as its streams see it. */
export interface CalleeStreamOwner {
  readonly link: HopLink;
  readonly stages: readonly Stage[];
  readonly wheel: TimingWheel;
  readonly identity: ClientIdentity;
  readonly logsFields: boolean;
  readonly heldBytesMax: number;
  report(): LoadReport;
  /** The stream is over on both sides. */
  released(stream: CalleeStream): void;
}

/** A response that is complete here and that its caller is slow to read is given up after so long without a byte. Ms. */
const lingerMs = 60_000;

/** One request that came over the hop, on the callee's side: the client of its exchange. Used again when it is over. */
export class CalleeStream implements ClientSide, FlowOwner, TimerOwner {
  readonly flow: StreamFlow;
  readonly #session: CalleeStreamOwner;
  readonly #x: Exchange;
  readonly #linger: WheelTimer;
  readonly #bodyLength = new BodyLength();

  constructor(session: CalleeStreamOwner) {
    this.#session = session;
    this.flow = new StreamFlow(this);
    this.#x = new Exchange(this);
    this.#linger = new WheelTimer(this, 0);
  }

  get id(): number {
    return this.flow.id;
  }

  // --- from the session ---

  /** Begins the exchange of a request whose head `parser` has just read; its prelude stands at `prelude`. */
  begin(id: number, parser: Http1Parser, prelude: number, buffer: Buffer, end: boolean): void {
    const { link, identity, stages } = this.#session;
    const x = this.#x;
    this.flow.open(link, id);
    this.flow.receivedEnd = end;
    x.reset();
    x.readHead(parser);
    readKnownFields(x, parser, { forLog: this.#session.logsFields, fromMesh: false, priorityMin: noPriorities });
    x.requestFields = copyFields(parser, droppedFromRequest, parser.fieldsStart);
    // What the frame says counts; fields that say the same were dropped with those that are ours alone.
    x.keepAlive = true;
    x.upgrade = "";
    x.expectsContinue = false;
    x.startMs = link.nowMs();
    x.callerId = identity.callerId;
    x.sni = identity.sni;
    x.clientCertificate = identity.forwardedClientCert;
    x.hopLimitMs = durationOf(buffer.readUInt32BE(prelude));
    x.hopIdleMs = durationOf(buffer.readUInt32BE(prelude + 4));
    x.incomingAttempt = Math.max(1, buffer[prelude + 8] ?? 1);
    claimPriority(x, buffer[prelude + 9] ?? defaultPriority, identity.priorityMin);
    this.#bodyLength.expect(parser.framing === "length" ? parser.contentLength : unknownLength);
    if (end) {
      x.requestFraming = "none";
      if (this.#bodyLength.isShort) return this.#malformed();
    } else if (parser.framing === "none") {
      x.requestFraming = "chunked";
    }
    runStages(stages, x);
  }

  onData(buffer: Buffer, from: number, to: number, end: boolean): void {
    const x = this.#x;
    const bytes = to - from;
    if (this.flow.receivedEnd) return this.#malformed();
    if (end) this.flow.receivedEnd = true;
    x.bytesReceived += bytes;
    if (!this.#bodyLength.take(bytes, end)) return this.#malformed();
    if (!x.active) return;
    const { id } = this.flow;
    if (bytes > 0 && !x.takeBody(buffer, from, to, this.#session.heldBytesMax)) this.#pauseBody();
    if (end && this.flow.id === id) x.completeBody("");
  }

  onTrailers(trailers: string | undefined): void {
    if (trailers === undefined || this.flow.receivedEnd || this.#bodyLength.isShort) return this.#malformed();
    this.flow.receivedEnd = true;
    if (this.#x.active) this.#x.completeBody(trailers);
  }

  /** The caller wants nothing more of it, or not from here, or is gone. */
  cancel(movedOn: boolean): void {
    const x = this.#x;
    if (x.active) {
      if (x.flag === "-") x.flag = "DC";
      x.callerMovedOn = movedOn;
      x.forwarder?.cancel(x, "clientGone");
      endExchange(this.#session.stages, x);
    }
    this.#release();
  }

  /** The caller has lost its right. */
  revoke(): void {
    revokeExchange(this.#x);
  }

  // --- the client's side of the exchange ---

  resume(x: Exchange): void {
    if (x.active) runStages(this.#session.stages, x);
  }

  reply(x: Exchange): void {
    if (!x.active || x.responseStarted) return;
    const { link, stages } = this.#session;
    x.responseStarted = true;
    hearResponse(stages, x);
    const { output } = link;
    output.begin(frameKinds.refusal, true, this.flow.id, preludeBytes.refusal + x.reason.length);
    link.putReport(this.#session.report());
    output.putShort(x.status);
    output.putWord(x.retryAfterMs);
    output.putByte(Math.max(0, responseFlags.indexOf(x.flag)));
    output.putByte(x.seenUpstream ? 1 : 0);
    output.putText(x.reason);
    endExchange(stages, x);
    this.#release();
    link.messageEnded();
  }

  startResponse(x: Exchange): void {
    const { link, stages } = this.#session;
    x.responseStarted = true;
    hearResponse(stages, x);
    const { output } = link;
    const isLast = x.responseFraming === "none";
    output.begin(frameKinds.response, isLast, this.flow.id, preludeBytes.response + x.responseHead.length + 2);
    link.putReport(this.#session.report());
    output.putShort(0);
    output.putText(x.responseHead);
    output.putText("\r\n");
    if (isLast) this.flow.sentEnd = true;
    if (x.responseBody !== "") {
      const held = Buffer.from(x.responseBody, "latin1");
      x.responseBody = "";
      x.bytesSent += held.length;
      this.flow.write(held, 0, held.length);
    }
    link.touch();
  }

  writeBody(x: Exchange, buffer: Buffer, start: number, end: number): boolean {
    x.bytesSent += end - start;
    this.flow.write(buffer, start, end);
    // Copied, into the frame or to wait for its window.
    return false;
  }

  flush(): boolean {
    return !this.flow.isWaiting;
  }

  finishResponse(x: Exchange): void {
    const { link, stages, wheel } = this.#session;
    if (!this.flow.sentEnd) this.flow.end(x.responseTrailers);
    endExchange(stages, x);
    link.messageEnded();
    if (this.flow.sentEnd) this.#release();
    else wheel.arm(this.#linger, link.nowMs(), lingerMs);
  }

  abortResponse(x: Exchange): void {
    endExchange(this.#session.stages, x);
    this.#giveUp(resetCodes.broken);
  }

  startTunnel(x: Exchange): void {
    // A request over the hop has no Upgrade, so no application may switch protocols on it.
    this.abortResponse(x);
  }

  #pauseBody(): void {
    this.#x.requestPaused = true;
    this.flow.pause();
  }

  resumeRequestBody(x: Exchange): void {
    x.requestPaused = false;
    if (this.flow.id !== 0) this.flow.unpause();
  }

  // --- from the flow ---

  onFlowWritable(): void {
    const x = this.#x;
    if (x.active) x.forwarder?.clientWritable(x);
    else this.#session.wheel.arm(this.#linger, this.#session.link.nowMs(), lingerMs);
  }

  onFlowEnd(): void {
    if (!this.#x.active) this.#release();
  }

  onTimer(): void {
    this.#giveUp(resetCodes.broken);
  }

  #malformed(): void {
    const x = this.#x;
    if (x.active) {
      x.flag = "DPE";
      x.forwarder?.cancel(x, "clientGone");
      endExchange(this.#session.stages, x);
    }
    this.#giveUp(resetCodes.malformed);
  }

  #giveUp(code: number): void {
    this.#session.link.sendReset(this.flow.id, code);
    this.#release();
  }

  #release(): void {
    if (this.flow.id === 0) return;
    this.#session.wheel.cancel(this.#linger);
    this.#session.released(this);
  }
}
