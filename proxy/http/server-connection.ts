import { Socket } from "node:net";
import type { OnReadOpts } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { STATUS_CODES } from "#federation/runtime/node-http.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { UpstreamConnection } from "../upstream/upstream-connection.ts";
import { Exchange } from "./exchange.ts";
import type { ClientSide, Stage } from "./exchange.ts";
import { copyFields, droppedFromRequest, readKnownFields } from "./head-fields.ts";
import type { KnownFieldsOptions } from "./head-fields.ts";
import { boundAdvice, faultReason } from "./bound-words.ts";
import type { HttpFault } from "./http-fault.ts";
import { httpFaults } from "./http-fault.ts";
import { http2Refusal } from "./http2-goaway.ts";
import type { HttpLimits } from "./http-limits.ts";
import { Http1Parser } from "./http1-parser.ts";
import type { Http1Sink } from "./http1-parser.ts";
import { resetSocket } from "./reset-socket.ts";
import { endExchange, hearResponse, revokeExchange, runStages } from "./run-stages.ts";
import type { TimerOwner, TimingWheel } from "./timing-wheel.ts";
import { WheelTimer } from "./timing-wheel.ts";
import { Tunnel } from "./tunnel.ts";

/** What all client connections of one listener share. */
export interface ServerEngine {
  readonly stages: readonly Stage[];
  readonly clock: Clock;
  readonly wheel: TimingWheel;
  readonly httpLimits: HttpLimits;
  readonly timeouts: ServerTimeouts;
  /** True while the listener drains: responses carry `Connection: close`. */
  readonly draining: boolean;
  /** True when an access log wants the fields that only it needs. */
  readonly logsFields: boolean;
  /** What a client without an identity may claim, as `ClientIdentity.priorityMin`. */
  readonly priorityMin: number;
  onFault(fault: HttpFault | "head_timeout"): void;
  onClose(connection: ServerConnection): void;
}

/** Limits in time of a client connection, ms. */
export interface ServerTimeouts {
  /** Between requests; longer than the other side's own limit, so that it and not we end an idle connection. */
  readonly idleMs: number;
  /** From the first byte of a request head to its last: what a slow sender may take. */
  readonly headMs: number;
}

/** Who is at the other end of an mTLS connection, from its handshake; absent on plain listeners. */
export interface ClientIdentity {
  readonly callerId: SpiffeId;
  /** The server name it asked for: which port of the workload it calls. */
  readonly sni: string;
  /** The value of x-forwarded-client-cert that requests of this connection get. */
  readonly forwardedClientCert: string;
  /** The first class, as an index in `priorityClasses`, that it may claim for its requests. */
  readonly priorityMin: number;
}

/** A socket that is yet to be made, with reads into buffers that its user gives. */
export interface SocketSource {
  open(onread: OnReadOpts): Socket;
}

/** A usual request fits; a body that fills it gets the larger one. */
const readBytes = 4_096;
const largeReadBytes = 65_536;

/** Responses up to here are gathered as text and leave in one write. */
const gatheredBytesMax = 16_384;

/** After our last response we read on for this long, so that the client gets it before a reset. */
const lingerMs = 1_000;

const phases = { idle: 0, head: 1, exchange: 2, tunnel: 3, lingering: 4, closed: 5 } as const;

/** One client connection: reads requests one after the other, runs the stages, writes responses. */
export class ServerConnection implements ClientSide, Http1Sink, TimerOwner {
  readonly #engine: ServerEngine;
  readonly #socket: Socket;
  readonly #parser: Http1Parser;
  readonly #timer: WheelTimer;
  readonly #identity: ClientIdentity | undefined;
  readonly #known: KnownFieldsOptions;
  readonly #x: Exchange;
  #phase: number = phases.idle;
  #sinceMs: number;
  /** Bytes after the current request: pipelined requests wait their turn. */
  #stash: Buffer | undefined = undefined;
  #running = false;
  #out = "";
  #chunking = false;
  #tunnel: Tunnel | undefined = undefined;
  #buffer: Buffer | undefined = undefined;
  #filled = false;

  constructor(engine: ServerEngine, source: Socket | SocketSource, identity?: ClientIdentity) {
    this.#engine = engine;
    const socket = source instanceof Socket ? source : source.open({ buffer: () => this.#nextBuffer(), callback: (length, buffer) => this.#onRead(length, buffer as Buffer) });
    this.#socket = socket;
    this.#identity = identity;
    this.#known = { forLog: engine.logsFields, fromMesh: identity !== undefined, priorityMin: identity?.priorityMin ?? engine.priorityMin };
    this.#x = new Exchange(this);
    this.#parser = new Http1Parser("request", this, engine.httpLimits);
    this.#timer = new WheelTimer(this, 0);
    this.#sinceMs = engine.clock.monotonicMs();
    this.#x.late = engine.draining;
    engine.wheel.arm(this.#timer, this.#sinceMs, engine.draining ? lingerMs : Math.min(engine.timeouts.headMs, engine.timeouts.idleMs));
    socket.setNoDelay(true);
    // The reason stands in `close`, which follows.
    socket.on("error", () => undefined);
    if (source instanceof Socket) socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("close", () => this.#onClose());
    socket.on("drain", () => {
      if (this.#x.active) this.#x.forwarder?.clientWritable(this.#x);
    });
  }

  /** True while no request is on it. */
  get idle(): boolean {
    return this.#phase === phases.idle && this.#parser.idle;
  }

  /** Ends the connection once nothing is on it. */
  drain(): void {
    if (this.idle) this.#endSocket();
    else this.#x.closeAfter = true;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Its caller has lost its right. What it does now ends, as a refusal while that can be said; later requests are judged by their stage. */
  revoke(): void {
    revokeExchange(this.#x);
  }

  // --- bytes in ---

  /** Small at first, since most connections carry small requests and many are idle; larger while reads fill it. */
  #nextBuffer(): Buffer {
    const current = this.#buffer;
    if (current !== undefined && (!this.#filled || current.length === largeReadBytes)) return undefined as unknown as Buffer;
    this.#buffer = Buffer.allocUnsafeSlow(current === undefined ? readBytes : largeReadBytes);
    return this.#buffer;
  }

  #onRead(length: number, buffer: Buffer): boolean {
    this.#filled = length === buffer.length;
    this.#onData(buffer.subarray(0, length));
    return true;
  }

  #onData(chunk: Buffer): void {
    if (this.#phase === phases.lingering || this.#phase === phases.closed) return;
    if (this.#tunnel !== undefined) {
      this.#x.lastByteMs = this.#engine.clock.monotonicMs();
      this.#tunnel.fromClient(Buffer.from(chunk));
      return;
    }
    if (this.#stash !== undefined || (this.#x.active && this.#parser.complete)) {
      this.#stash = this.#stash === undefined ? Buffer.from(chunk) : Buffer.concat([this.#stash, chunk]);
      // One read ahead is enough: the kernel holds the rest.
      this.#socket.pause();
      return;
    }
    this.#read(chunk);
  }

  #read(chunk: Buffer): void {
    this.#running = true;
    let at = 0;
    while (at < chunk.length) {
      at = this.#parser.execute(chunk, at, chunk.length);
      if (this.#parser.fault !== undefined || this.#phase >= phases.tunnel) break;
      if (!this.#parser.complete) continue;
      if (this.#x.active) {
        if (at < chunk.length) this.#stash = Buffer.from(chunk.subarray(at));
        break;
      }
      this.#parser.next();
    }
    this.#running = false;
    if (this.#phase === phases.idle && !this.#parser.idle) this.#beginHead();
    if (this.#phase === phases.exchange && this.#x.active && this.#out !== "") this.flush(this.#x);
  }

  /** A head came in part: from now on its sender has `headMs`. */
  #beginHead(): void {
    if (this.#parser.complete || this.#parser.fault !== undefined) return;
    this.#phase = phases.head;
    this.#sinceMs = this.#engine.clock.monotonicMs();
    this.#engine.wheel.arm(this.#timer, this.#sinceMs, this.#engine.timeouts.headMs);
  }

  /** The exchange is over and the connection goes on: reads what waited. */
  #next(): void {
    this.#phase = phases.idle;
    this.#sinceMs = this.#engine.clock.monotonicMs();
    if (this.#running) return;
    this.#parser.next();
    const stash = this.#stash;
    if (stash === undefined) return;
    this.#stash = undefined;
    this.#socket.resume();
    this.#read(stash);
  }

  // --- from the parser ---

  onHead(parser: Http1Parser): void {
    const x = this.#x;
    x.reset();
    x.readHead(parser);
    readKnownFields(x, parser, this.#known);
    x.requestFields = copyFields(parser, droppedFromRequest, parser.fieldsStart);
    x.startMs = this.#engine.clock.monotonicMs();
    if (this.#identity !== undefined) {
      x.callerId = this.#identity.callerId;
      x.sni = this.#identity.sni;
      x.clientCertificate = this.#identity.forwardedClientCert;
    }
    this.#phase = phases.exchange;
    this.#out = "";
    this.#chunking = false;
    runStages(this.#engine.stages, x);
    if (x.expectsContinue && x.active && x.requestFraming !== "none" && x.status === 0) this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    const x = this.#x;
    x.bytesReceived += end - start;
    if (!x.active) return;
    if (x.takeBody(buffer, start, end, this.#engine.httpLimits.heldBytesMax)) return;
    x.requestPaused = true;
    this.#socket.pause();
  }

  onComplete(): void {
    const x = this.#x;
    if (!x.active || x.requestFraming === "none") return;
    x.completeBody(this.#parser.trailers);
  }

  onFault(fault: HttpFault): void {
    this.#engine.onFault(fault);
    const x = this.#x;
    if (x.active) {
      x.flag = "DPE";
      x.forwarder?.cancel(x, "clientGone");
      if (x.responseStarted) {
        this.abortResponse(x);
        return;
      }
      x.status = httpFaults[fault];
      x.reason = faultReason(fault, this.#engine.httpLimits);
      x.closeAfter = true;
      this.reply(x);
      return;
    }
    if (fault === "http2_preface") {
      this.#socket.write(http2Refusal);
      this.#endSocket();
      return;
    }
    this.#refuse(httpFaults[fault], faultReason(fault, this.#engine.httpLimits));
  }

  /** Answers what never became a request, and ends the connection. */
  #refuse(status: number, reason: string): void {
    this.#socket.write(ownResponse(status, reason, "connection: close\r\n", ownBody(reason)), "latin1");
    this.#endSocket();
  }

  // --- stages ---

  resume(x: Exchange): void {
    if (x.active) runStages(this.#engine.stages, x);
  }

  reply(x: Exchange): void {
    if (!x.active || x.responseStarted) return;
    x.responseStarted = true;
    hearResponse(this.#engine.stages, x);
    const connection = this.#connectionFields(x);
    const body = ownBody(x.reason);
    this.#out = ownResponse(x.status, x.reason, connection, body);
    if (x.method === "HEAD") this.#out = this.#out.slice(0, -body.length);
    else x.bytesSent += body.length;
    this.#chunking = false;
    this.finishResponse(x);
  }

  startResponse(x: Exchange): void {
    x.responseStarted = true;
    hearResponse(this.#engine.stages, x);
    let framing = "";
    if (x.responseFraming === "chunked" || x.responseFraming === "close") {
      this.#chunking = x.minorVersion === 1;
      if (this.#chunking) framing = "transfer-encoding: chunked\r\n";
      else x.closeAfter = true;
    }
    this.#out = `${x.responseHead}${framing}${this.#connectionFields(x)}\r\n`;
    if (x.responseBody === "") return;
    this.#gather(x, x.responseBody);
    x.responseBody = "";
  }

  #gather(x: Exchange, text: string): void {
    x.bytesSent += text.length;
    this.#out += this.#chunking ? `${text.length.toString(16)}\r\n${text}\r\n` : text;
  }

  writeBody(x: Exchange, buffer: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length <= gatheredBytesMax) {
      this.#gather(x, buffer.toString("latin1", start, end));
      return false;
    }
    x.bytesSent += length;
    this.#socket.cork();
    this.#socket.write(this.#chunking ? `${this.#out}${length.toString(16)}\r\n` : this.#out, "latin1");
    this.#socket.write(buffer.subarray(start, end));
    this.#out = this.#chunking ? "\r\n" : "";
    this.#socket.uncork();
    return this.#socket.writableLength > 0;
  }

  flush(_x: Exchange): boolean {
    if (this.#out !== "") {
      const text = this.#out;
      this.#out = "";
      this.#socket.write(text, "latin1");
    }
    return !this.#socket.writableNeedDrain;
  }

  finishResponse(x: Exchange): void {
    if (this.#chunking) this.#out += `0\r\n${x.responseTrailers}\r\n`;
    if (this.#out !== "") {
      const text = this.#out;
      this.#out = "";
      this.#socket.write(text, "latin1");
    }
    endExchange(this.#engine.stages, x);
    if (x.closeAfter || !x.keepAlive || this.#engine.draining) this.#endSocket();
    else this.#next();
  }

  abortResponse(x: Exchange): void {
    endExchange(this.#engine.stages, x);
    this.#phase = phases.closed;
    resetSocket(this.#socket);
  }

  resumeRequestBody(x: Exchange): void {
    if (!x.requestPaused) return;
    x.requestPaused = false;
    this.#socket.resume();
  }

  startTunnel(x: Exchange, connection: UpstreamConnection): void {
    x.responseStarted = true;
    hearResponse(this.#engine.stages, x);
    this.#engine.wheel.cancel(this.#timer);
    this.#socket.write(`${x.responseHead}\r\n`, "latin1");
    this.#parser.stop();
    this.#phase = phases.tunnel;
    x.lastByteMs = this.#engine.clock.monotonicMs();
    x.keeper?.watch(x, x.lastByteMs);
    const upstream = connection.tunnel((bytes) => this.#tunnel?.fromUpstream(bytes));
    this.#tunnel = new Tunnel(this.#socket, upstream, {
      onClientBytes: (count) => {
        x.bytesReceived += count;
      },
      onUpstreamBytes: (count) => {
        x.bytesSent += count;
        x.lastByteMs = this.#engine.clock.monotonicMs();
      },
      onEnd: () => endExchange(this.#engine.stages, x),
    });
    const stash = this.#stash;
    this.#stash = undefined;
    if (stash !== undefined) this.#tunnel.fromClient(stash);
    this.#socket.resume();
  }

  #connectionFields(x: Exchange): string {
    // An unread request body cannot be told from the next request.
    if (!this.#parser.complete) x.closeAfter = true;
    if (x.closeAfter || !x.keepAlive || this.#engine.draining) return "connection: close\r\n";
    return x.minorVersion === 0 ? "connection: keep-alive\r\n" : "";
  }

  // --- its end ---

  onTimer(): void {
    const { clock, timeouts, wheel } = this.#engine;
    const nowMs = clock.monotonicMs();
    const quietMs = nowMs - this.#sinceMs;
    if (this.#phase === phases.lingering) {
      this.#socket.destroy();
      return;
    }
    if (this.#phase === phases.head && quietMs >= timeouts.headMs) {
      this.#engine.onFault("head_timeout");
      this.#refuse(408, "head_timeout");
      return;
    }
    if (this.#phase === phases.idle && (quietMs >= timeouts.idleMs || this.#engine.draining)) {
      this.#endSocket();
      return;
    }
    const limitMs = this.#phase === phases.head ? timeouts.headMs : timeouts.idleMs;
    wheel.arm(this.#timer, nowMs, Math.max(1, limitMs - (this.#phase === phases.exchange ? 0 : quietMs)));
  }

  #endSocket(): void {
    this.#socket.end();
    this.#linger();
  }

  #linger(): void {
    this.#phase = phases.lingering;
    this.#stash = undefined;
    this.#parser.stop();
    this.#socket.resume();
    this.#engine.wheel.arm(this.#timer, this.#engine.clock.monotonicMs(), lingerMs);
  }

  #onEnd(): void {
    if (this.#phase === phases.tunnel) return;
    // A client that ends its side has left, as Envoy and nginx see it: what it asked for must not go on working.
    if (this.#phase === phases.exchange) this.#socket.destroy();
    else this.#socket.end();
  }

  #onClose(): void {
    const x = this.#x;
    this.#engine.wheel.cancel(this.#timer);
    if (x.active && this.#tunnel === undefined) {
      if (x.flag === "-") x.flag = "DC";
      x.forwarder?.cancel(x, "clientGone");
      endExchange(this.#engine.stages, x);
    }
    this.#phase = phases.closed;
    this.#parser.stop();
    this.#engine.onClose(this);
  }
}

/** A short answer of the proxy itself. The reason is one word of ours, or a word and its figures, and never carries anything of the request. */
function ownResponse(status: number, reason: string, connection: string, body: string): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\nx-atoll-reason: ${reason}\r\n${connection}\r\n${body}`;
}

/** Never empty. */
function ownBody(reason: string): string {
  return `${reason}\n${boundAdvice(reason)}`;
}
