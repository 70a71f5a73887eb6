import { hostBytes, targetBytes, tokenBytes, valueBytes } from "./character-tables.ts";
import type { HttpFault } from "./http-fault.ts";
import type { HttpLimits } from "./http-limits.ts";
import { headerId, headerIds } from "./header-id.ts";
import { encodingFault, versionFault } from "./message-faults.ts";

/** Who hears what a parser reads. Buffers are lent: offsets and slices are valid only during the call. */
export interface Http1Sink {
  /** The head is complete: the parser's public fields describe it. */
  onHead(parser: Http1Parser): void;
  onBody(buffer: Buffer, start: number, end: number): void;
  /** The message is complete; `parser.trailers` holds its trailer lines. Call `next()` to read another. */
  onComplete(): void;
  /** The message is refused (`parser.fault`); nothing more is read from this connection. */
  onFault(fault: HttpFault): void;
}

/** Numbers of one field in `Http1Parser.fields`. */
export const fieldStride = 5;

/** Fields of a message head as offsets into `buffer`: id, name start, value start, value end, end of line (after its LF). */
export type FieldOffsets = Int32Array;

const states = {
  head: 0,
  bodyLength: 1,
  bodyClose: 2,
  chunkSize: 3,
  chunkExtension: 4,
  chunkSizeLf: 5,
  chunkData: 6,
  chunkDataCr: 7,
  chunkDataLf: 8,
  trailers: 9,
  complete: 10,
  failed: 11,
} as const;

const incomplete = -1;
const refused = -2;

const cr = 0x0d;
const lf = 0x0a;
const space = 0x20;
const tab = 0x09;
const colon = 0x3a;

const emptyLine = Buffer.from("\r\n");

/** The methods that node:http and llhttp know; others get 501. CONNECT is not among them: this is no forward proxy. */
const methods = new Set(
  (
    "ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS PATCH POST " +
    "PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
  ).split(" "),
);
const methodLengthMax = 11;

/** RFC 9110 §9.2.2, as DESIGN names them. */
const idempotentMethods = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** More names in Connection fields than this is no client we want to understand. */
const connectionTokensMax = 8;

/**
 * A strict HTTP/1.1 reader over bytes split in any way. It never repairs: what two readers could understand in two
 * ways is refused (RFC 9112 §§2-7). The hot path parses in place and allocates strings only for method, target and
 * host; a head that arrives in pieces is gathered in a bounded buffer first, in linear time.
 */
export class Http1Parser {
  readonly #sink: Http1Sink;
  readonly #limits: HttpLimits;
  readonly #isRequest: boolean;

  // What the latest head said.
  method = "";
  target = "";
  host = "";
  idempotent = false;
  minorVersion = 1;
  status = 0;
  framing: "none" | "length" | "chunked" | "close" = "none";
  contentLength = 0;
  keepAlive = true;
  /** The Upgrade field when Connection names it, else empty. */
  upgrade = "";
  expectsContinue = false;
  /** Trailer lines of a chunked message with their CRLFs, once it is complete. */
  trailers = "";
  fault: HttpFault | undefined = undefined;

  /** Where the head lies; valid during `onHead`. */
  buffer: Buffer = Buffer.alloc(0);
  readonly fields: FieldOffsets;
  fieldCount = 0;
  /** Offset of the start line. */
  headStart = 0;
  /** Offset of the first field line. */
  fieldsStart = 0;
  /** Lower-case names from Connection fields besides the usual ones; such fields are not forwarded. */
  readonly connectionTokens: string[] = [];

  /** Responses: set before each message when it answers a HEAD request. */
  answersHead = false;

  #state: number = states.head;
  #remaining = 0;
  #chunkDigits = 0;
  #extensionBytes = 0;
  #extensionState = 0;
  #carry: Buffer = Buffer.alloc(0);
  #carryLength = 0;
  #carryScanned = 0;
  #carryUsed = 0;
  #blocks = false;

  constructor(kind: "request" | "response", sink: Http1Sink, limits: HttpLimits) {
    this.#isRequest = kind === "request";
    this.#sink = sink;
    this.#limits = limits;
    this.fields = new Int32Array(limits.fieldsMax * fieldStride);
  }

  /** True between messages with nothing of the next one read. */
  get idle(): boolean {
    return this.#state === states.head && this.#carryLength === 0;
  }

  /** True once the message has been read to its end. */
  get complete(): boolean {
    return this.#state === states.complete;
  }

  /** True while a body framed by the end of the connection is read. */
  get readsToClose(): boolean {
    return this.#state === states.bodyClose;
  }

  /** Begins the next message. */
  next(): void {
    this.#state = states.head;
    this.#carryLength = 0;
    this.#carryScanned = 0;
    this.fault = undefined;
  }

  /** Reads nothing more: its connection is given up or has become a tunnel. */
  stop(): void {
    this.#state = states.failed;
    this.#carryLength = 0;
  }

  /** The peer ended the connection. True when that ends the message properly. */
  finish(): boolean {
    if (this.#state === states.bodyClose) {
      this.#state = states.complete;
      this.#sink.onComplete();
      return true;
    }
    return this.idle || this.#state === states.complete;
  }

  /** Reads `chunk` from `position` to `end` and returns where it stopped: at `end`, or after a complete or refused message. */
  execute(chunk: Buffer, position: number, end: number): number {
    let at = position;
    while (at < end) {
      switch (this.#state) {
        case states.head:
          at = this.#readHead(chunk, at, end);
          break;
        case states.bodyLength:
        case states.chunkData:
          at = this.#readCounted(chunk, at, end);
          break;
        case states.bodyClose:
          this.#sink.onBody(chunk, at, end);
          return end;
        case states.trailers:
          at = this.#readTrailers(chunk, at, end);
          break;
        case states.complete:
        case states.failed:
          return at;
        default:
          at = this.#readChunkFrame(chunk[at] ?? 0, at);
      }
    }
    return at;
  }

  #fail(fault: HttpFault): typeof refused {
    this.fault = fault;
    if (this.#blocks) return refused;
    this.#state = states.failed;
    this.#sink.onFault(fault);
    return refused;
  }

  // --- blocks ---

  /**
   * Reads a head that lies in buffer[start, end), all of it and nothing else: how heads cross the hop, where frames and not
   * their own fields say where a message ends. Nobody is told; the public fields describe it. Returns why it is refused.
   */
  readBlock(buffer: Buffer, start: number, end: number): HttpFault | undefined {
    this.fault = undefined;
    this.#blocks = true;
    const after = this.#parseHead(buffer, start, end);
    if (after >= 0 && after !== end) this.fault = "bad_start_line";
    else if (after === incomplete) this.fault = "bad_field";
    else if (after >= 0) this.fault = this.#interpretHead();
    this.#blocks = false;
    return this.fault;
  }

  /** Trailer lines that lie in buffer[start, end), as text; undefined when they are refused. */
  readTrailerBlock(buffer: Buffer, start: number, end: number): string | undefined {
    this.#blocks = true;
    const lines = Buffer.concat([buffer.subarray(start, end), emptyLine]);
    const parsed = end - start > this.#limits.trailerBytesMax ? refused : this.#parseFields(lines, 0, lines.length);
    this.#blocks = false;
    return parsed === lines.length && this.#areTrailersAllowed(lines) ? buffer.toString("latin1", start, end) : undefined;
  }

  // --- head ---

  #readHead(chunk: Buffer, start: number, end: number): number {
    if (this.#carryLength > 0) return this.#readCarriedHead(chunk, start, end);
    const limit = Math.min(end, start + this.#limits.headBytesMax);
    const after = this.#parseHead(chunk, start, limit);
    if (after === refused) return start;
    if (after === incomplete) {
      if (limit < end || limit - start >= this.#limits.headBytesMax) {
        this.#fail("head_too_large");
        return start;
      }
      return this.#readCarriedHead(chunk, start, end);
    }
    this.#finishHead();
    return after;
  }

  #readCarriedHead(chunk: Buffer, start: number, end: number): number {
    const headEnd = this.#gather(chunk, start, end, this.#limits.headBytesMax, "head_too_large");
    if (headEnd === refused || headEnd === incomplete) return start + this.#carryUsed;
    const after = this.#parseHead(this.#carry, 0, headEnd);
    if (after === refused) return start + this.#carryUsed;
    if (after !== headEnd) {
      this.#fail("bad_start_line");
      return start + this.#carryUsed;
    }
    const used = this.#carryUsed;
    this.#carryLength = 0;
    this.#carryScanned = 0;
    this.#finishHead();
    return start + used;
  }

  /**
   * Adds bytes to the carry buffer up to and with the next empty line; returns the length there, `incomplete` or
   * `refused`. `#carryUsed` says how many bytes of the chunk it took. Each byte is looked at once.
   */
  #gather(chunk: Buffer, start: number, end: number, limit: number, fault: HttpFault): number {
    const before = this.#carryLength;
    const taken = Math.min(end - start, limit - before);
    if (this.#carry.length < before + taken) {
      const larger = Buffer.allocUnsafe(Math.min(limit, Math.max(1024, 2 * (before + taken))));
      this.#carry.copy(larger, 0, 0, before);
      this.#carry = larger;
    }
    chunk.copy(this.#carry, before, start, start + taken);
    const filled = before + taken;
    const carry = this.#carry;
    let at = this.#carryScanned;
    this.#carryUsed = taken;
    for (;;) {
      const feed = carry.indexOf(lf, at);
      if (feed === -1 || feed >= filled) break;
      if (feed === 0 || carry[feed - 1] !== cr) return this.#fail("bare_cr_or_lf");
      if (feed >= 3 && carry[feed - 2] === lf) {
        this.#carryLength = feed + 1;
        this.#carryUsed = feed + 1 - before;
        return feed + 1;
      }
      at = feed + 1;
    }
    this.#carryScanned = filled;
    this.#carryLength = filled;
    return filled >= limit ? this.#fail(fault) : incomplete;
  }

  #parseHead(buffer: Buffer, start: number, end: number): number {
    this.buffer = buffer;
    this.headStart = start;
    if (this.connectionTokens.length > 0) this.connectionTokens.length = 0;
    const after = this.#isRequest ? this.#parseRequestLine(buffer, start, end) : this.#parseStatusLine(buffer, start, end);
    if (after < 0) return after;
    this.fieldsStart = after;
    return this.#parseFields(buffer, after, end);
  }

  #parseRequestLine(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && tokenBytes[buffer[at] ?? 0] === 1) at++;
    if (at - start > methodLengthMax) return this.#fail("bad_method");
    if (at === end) return incomplete;
    if (buffer[at] !== space || at === start) return this.#fail("bad_start_line");
    const methodEnd = at;
    const targetStart = ++at;
    while (at < end && targetBytes[buffer[at] ?? 0] === 1) at++;
    const targetEnd = at;
    if (targetEnd - targetStart > this.#limits.targetBytesMax) return this.#fail("target_too_long");
    if (at === end) return incomplete;
    if (targetEnd === targetStart || buffer[at] !== space) return this.#fail("bad_target");
    at++;
    if (end - at < 10) return this.#checkPartialVersion(buffer, at, end);
    const minor = (buffer[at + 7] ?? 0) - 0x30;
    if (!isHttp1(buffer, at) || (minor !== 0 && minor !== 1)) return this.#fail(versionFault(buffer, start, at));
    if (buffer[at + 8] !== cr || buffer[at + 9] !== lf) return this.#fail("bad_start_line");
    this.minorVersion = minor;
    const method = methodAt(buffer, start, methodEnd);
    if (method === undefined) return this.#fail("bad_method");
    this.method = method;
    this.idempotent = method === "GET" || idempotentMethods.has(method);
    this.target = buffer.toString("latin1", targetStart, targetEnd);
    return at + 10;
  }

  /** Too few bytes for a version and line end: refuse early what cannot become one. */
  #checkPartialVersion(buffer: Buffer, start: number, end: number): number {
    const expected = "HTTP/";
    for (let at = start; at < end && at - start < expected.length; at++) {
      if (buffer[at] !== expected.charCodeAt(at - start)) return this.#fail("bad_start_line");
    }
    return incomplete;
  }

  #parseStatusLine(buffer: Buffer, start: number, end: number): number {
    // "HTTP/1.1 200" and at least a line end.
    if (end - start < 14) return incomplete;
    const minor = (buffer[start + 7] ?? 0) - 0x30;
    if (!isHttp1(buffer, start) || (minor !== 0 && minor !== 1)) return this.#fail("bad_version");
    const hundreds = (buffer[start + 9] ?? 0) - 0x30;
    const tens = (buffer[start + 10] ?? 0) - 0x30;
    const ones = (buffer[start + 11] ?? 0) - 0x30;
    const isNumber = hundreds >= 1 && hundreds <= 9 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9;
    if (buffer[start + 8] !== space || !isNumber) return this.#fail("bad_start_line");
    let at = start + 12;
    if (buffer[at] !== space && buffer[at] !== cr) return this.#fail("bad_start_line");
    while (at < end && valueBytes[buffer[at] ?? 0] === 1) at++;
    if (end - at < 2) return incomplete;
    if (buffer[at] !== cr || buffer[at + 1] !== lf) return this.#fail("bare_cr_or_lf");
    this.minorVersion = minor;
    this.status = hundreds * 100 + tens * 10 + ones;
    return at + 2;
  }

  /** Reads field lines up to and with the empty line. */
  #parseFields(buffer: Buffer, start: number, end: number): number {
    const fields = this.fields;
    let count = 0;
    let at = start;
    for (;;) {
      if (at >= end) return incomplete;
      if (buffer[at] === cr) {
        if (at + 1 >= end) return incomplete;
        if (buffer[at + 1] !== lf) return this.#fail("bare_cr_or_lf");
        this.fieldCount = count;
        return at + 2;
      }
      if (count >= this.#limits.fieldsMax) return this.#fail("too_many_fields");
      const nameStart = at;
      while (at < end && tokenBytes[buffer[at] ?? 0] === 1) at++;
      if (at >= end) return incomplete;
      // Also refuses space before the colon, folded lines and an empty name.
      if (at === nameStart || buffer[at] !== colon) return this.#fail("bad_field");
      const id = headerId(buffer, nameStart, at - nameStart);
      at++;
      while (at < end && (buffer[at] === space || buffer[at] === tab)) at++;
      const valueStart = at;
      while (at < end && valueBytes[buffer[at] ?? 0] === 1) at++;
      if (at + 1 >= end) {
        if (at < end && buffer[at] !== cr) return this.#fail(buffer[at] === lf ? "bare_cr_or_lf" : "bad_field");
        return incomplete;
      }
      if (buffer[at] !== cr) return this.#fail(buffer[at] === lf ? "bare_cr_or_lf" : "bad_field");
      if (buffer[at + 1] !== lf) return this.#fail("bare_cr_or_lf");
      let valueEnd = at;
      while (valueEnd > valueStart && (buffer[valueEnd - 1] === space || buffer[valueEnd - 1] === tab)) valueEnd--;
      at += 2;
      const slot = count * fieldStride;
      fields[slot] = id;
      fields[slot + 1] = nameStart;
      fields[slot + 2] = valueStart;
      fields[slot + 3] = valueEnd;
      fields[slot + 4] = at;
      count++;
    }
  }

  /** Gives the fields their meaning, decides the framing, and tells the sink. */
  #finishHead(): void {
    const fault = this.#interpretHead();
    if (fault !== undefined) {
      this.#fail(fault);
      return;
    }
    this.#remaining = this.contentLength;
    this.#state = stateAfterHead(this.framing, this.contentLength);
    this.#chunkDigits = 0;
    this.#extensionBytes = 0;
    const isComplete = this.#state === states.complete;
    this.#sink.onHead(this);
    // The sink may have stopped the parser or begun the next message.
    if (isComplete && this.#state === states.complete) this.#sink.onComplete();
  }

  #interpretHead(): HttpFault | undefined {
    this.framing = "none";
    this.contentLength = 0;
    this.keepAlive = this.minorVersion === 1;
    this.upgrade = "";
    this.expectsContinue = false;
    this.host = "";
    this.trailers = "";
    return this.#interpretFields();
  }

  #interpretFields(): HttpFault | undefined {
    const { buffer, fields, fieldCount } = this;
    let hosts = 0;
    let lengthAt = -1;
    let encodingAt = -1;
    let upgradeAt = -1;
    let connectionUpgrade = false;
    for (let slot = 0; slot < fieldCount * fieldStride; slot += fieldStride) {
      switch (fields[slot] ?? headerIds.other) {
        case headerIds.host:
          if (++hosts > 1) return "duplicate_host";
          this.host = this.#text(slot);
          break;
        case headerIds.contentLength:
          if (lengthAt !== -1) return "duplicate_length";
          lengthAt = slot;
          break;
        case headerIds.transferEncoding:
          if (encodingAt !== -1) return encodingFault(`${this.#text(encodingAt)},${this.#text(slot)}`);
          encodingAt = slot;
          break;
        case headerIds.connection:
          if (this.#readConnection(slot)) connectionUpgrade = true;
          if (this.connectionTokens.length > connectionTokensMax) return "bad_field";
          break;
        case headerIds.upgrade:
          if (upgradeAt !== -1) return "bad_field";
          upgradeAt = slot;
          break;
        case headerIds.expect:
          if (this.#text(slot).toLowerCase() === "100-continue") this.expectsContinue = this.minorVersion === 1;
          break;
        default:
      }
    }
    if (connectionUpgrade && upgradeAt !== -1 && this.minorVersion === 1) this.upgrade = this.#text(upgradeAt);
    const framingFault = this.#readFraming(buffer, lengthAt, encodingAt);
    if (framingFault !== undefined) return framingFault;
    return this.#isRequest ? this.#checkRequest(hosts) : undefined;
  }

  #text(slot: number): string {
    return this.buffer.toString("latin1", this.fields[slot + 2] ?? 0, this.fields[slot + 3] ?? 0);
  }

  /** Reads one Connection field; true when it names `upgrade`. */
  #readConnection(slot: number): boolean {
    const text = this.#text(slot);
    // What nearly every client sends.
    if (text === "keep-alive") {
      this.keepAlive = true;
      return false;
    }
    let upgrade = false;
    for (const part of text.toLowerCase().split(",", connectionTokensMax + 2)) {
      const token = part.trim();
      if (token === "close") this.keepAlive = false;
      else if (token === "keep-alive") this.keepAlive = this.keepAlive || this.minorVersion === 0;
      else if (token === "upgrade") upgrade = true;
      else if (token !== "") this.connectionTokens.push(token);
    }
    return upgrade;
  }

  #readFraming(buffer: Buffer, lengthAt: number, encodingAt: number): HttpFault | undefined {
    if (encodingAt !== -1) {
      if (lengthAt !== -1) return "length_and_encoding";
      // HTTP/1.0 knows none (RFC 9112 §6.1), and blocks are framed by what carries them.
      if (this.#blocks || this.minorVersion === 0) return "faulty_encoding";
      const codings = this.#text(encodingAt);
      if (codings.toLowerCase() !== "chunked") return encodingFault(codings);
      this.framing = "chunked";
    } else if (lengthAt !== -1) {
      const length = readDecimal(buffer, this.fields[lengthAt + 2] ?? 0, this.fields[lengthAt + 3] ?? 0);
      if (length < 0) return "bad_length";
      this.contentLength = length;
      this.framing = "length";
    } else if (!this.#isRequest) {
      this.framing = "close";
    }
    if (!this.#isRequest && (this.answersHead || this.status < 200 || this.status === 204 || this.status === 304)) this.framing = "none";
    return undefined;
  }

  #checkRequest(hosts: number): HttpFault | undefined {
    if (hosts === 0 && this.minorVersion === 1) return "missing_host";
    for (let at = 0; at < this.host.length; at++) {
      if (hostBytes[this.host.charCodeAt(at)] !== 1) return "bad_host";
    }
    const first = this.target.charCodeAt(0);
    if (first === 0x2f) return undefined;
    if (this.target === "*") return this.method === "OPTIONS" ? undefined : "bad_target";
    return this.#readAbsoluteForm();
  }

  /** `http://authority/path`: forwarded in origin form; an authority other than Host could be routed in two ways. */
  #readAbsoluteForm(): HttpFault | undefined {
    const scheme = "http://";
    if (this.target.slice(0, scheme.length).toLowerCase() !== scheme) return "bad_target";
    let end = scheme.length;
    while (end < this.target.length && hostBytes[this.target.charCodeAt(end)] === 1) end++;
    if (end === scheme.length) return "bad_target";
    if (this.target.slice(scheme.length, end).toLowerCase() !== this.host.toLowerCase()) return "bad_host";
    const rest = this.target.slice(end);
    if (rest !== "" && rest[0] !== "/" && rest[0] !== "?") return "bad_target";
    this.target = rest[0] === "/" ? rest : `/${rest}`;
    return undefined;
  }

  // --- body ---

  #readCounted(chunk: Buffer, start: number, end: number): number {
    const taken = Math.min(this.#remaining, end - start);
    this.#remaining -= taken;
    const isLast = this.#remaining === 0;
    const isChunk = this.#state === states.chunkData;
    if (isLast) this.#state = isChunk ? states.chunkDataCr : states.complete;
    this.#sink.onBody(chunk, start, start + taken);
    if (isLast && !isChunk && this.#state === states.complete) this.#sink.onComplete();
    return start + taken;
  }

  /** One byte of the lines around chunks. Returns the next position. */
  #readChunkFrame(byte: number, at: number): number {
    switch (this.#state) {
      case states.chunkSize:
        return this.#readChunkSize(byte, at);
      case states.chunkExtension:
        return this.#readExtension(byte, at);
      case states.chunkSizeLf:
        if (byte !== lf) return this.#refuseAt("bare_cr_or_lf", at);
        this.#chunkDigits = 0;
        if (this.#remaining > 0) this.#state = states.chunkData;
        else this.#beginTrailers();
        return at + 1;
      case states.chunkDataCr:
        if (byte !== cr) return this.#refuseAt("bad_chunk", at);
        this.#state = states.chunkDataLf;
        return at + 1;
      default:
        if (byte !== lf) return this.#refuseAt("bare_cr_or_lf", at);
        this.#remaining = 0;
        this.#state = states.chunkSize;
        return at + 1;
    }
  }

  #refuseAt(fault: HttpFault, at: number): number {
    this.#fail(fault);
    return at;
  }

  #readChunkSize(byte: number, at: number): number {
    const digit = hexValue(byte);
    if (digit >= 0) {
      // Eight digits are 4 GiB: more is nothing anyone sends, and never leaves exact integers.
      if (++this.#chunkDigits > 8) return this.#refuseAt("bad_chunk", at);
      this.#remaining = (this.#chunkDigits === 1 ? 0 : this.#remaining) * 16 + digit;
      return at + 1;
    }
    if (this.#chunkDigits === 0) return this.#refuseAt("bad_chunk", at);
    if (byte === cr) {
      this.#state = states.chunkSizeLf;
      return at + 1;
    }
    if (byte !== 0x3b) return this.#refuseAt("bad_chunk", at);
    this.#state = states.chunkExtension;
    this.#extensionState = 0;
    return at + 1;
  }

  /** `;name` or `;name=token`, no white space and no quoted strings: extensions are read only to be dropped. */
  #readExtension(byte: number, at: number): number {
    if (++this.#extensionBytes > this.#limits.extensionBytesMax) return this.#refuseAt("extension_too_large", at);
    if (tokenBytes[byte] === 1) {
      // 0 name expected, 1 in name, 2 value expected, 3 in value.
      this.#extensionState |= 1;
      return at + 1;
    }
    if (byte === 0x3d && this.#extensionState === 1) {
      this.#extensionState = 2;
      return at + 1;
    }
    if ((this.#extensionState & 1) === 0) return this.#refuseAt("bad_chunk", at);
    if (byte === 0x3b) this.#extensionState = 0;
    else if (byte === cr) this.#state = states.chunkSizeLf;
    else return this.#refuseAt("bad_chunk", at);
    return at + 1;
  }

  /** The carry begins with the line end of the last chunk, so that an empty trailer section ends like any other. */
  #beginTrailers(): void {
    this.#state = states.trailers;
    if (this.#carry.length < 1024) this.#carry = Buffer.allocUnsafe(1024);
    this.#carry[0] = cr;
    this.#carry[1] = lf;
    this.#carryLength = 2;
    this.#carryScanned = 2;
  }

  #readTrailers(chunk: Buffer, start: number, end: number): number {
    const after = this.#gather(chunk, start, end, this.#limits.trailerBytesMax + 2, "trailers_too_large");
    if (after < 0) return start + this.#carryUsed;
    const used = this.#carryUsed;
    if (after > 4) {
      const parsed = this.#parseFields(this.#carry, 2, after);
      if (parsed === refused) return start + used;
      if (parsed !== after || !this.#areTrailersAllowed(this.#carry)) return this.#refuseAt("bad_trailer", start + used);
      this.trailers = this.#carry.toString("latin1", 2, after - 2);
    }
    this.#carryLength = 0;
    this.#carryScanned = 0;
    this.#state = states.complete;
    this.#sink.onComplete();
    return start + used;
  }

  /** Trailers never say how to frame, route or whom to trust (RFC 9110 §6.5.1). */
  #areTrailersAllowed(buffer: Buffer): boolean {
    for (let slot = 0; slot < this.fieldCount * fieldStride; slot += fieldStride) {
      const id = this.fields[slot] ?? 0;
      if (id !== headerIds.other && id !== headerIds.requestId) return false;
    }
    return buffer.length > 0;
  }
}

function stateAfterHead(framing: Http1Parser["framing"], contentLength: number): number {
  if (framing === "chunked") return states.chunkSize;
  if (framing === "close") return states.bodyClose;
  return framing === "length" && contentLength > 0 ? states.bodyLength : states.complete;
}

function isHttp1(buffer: Buffer, at: number): boolean {
  return (
    buffer[at] === 0x48 && buffer[at + 1] === 0x54 && buffer[at + 2] === 0x54 && buffer[at + 3] === 0x50 && buffer[at + 4] === 0x2f && buffer[at + 5] === 0x31 && buffer[at + 6] === 0x2e
  );
}

function methodAt(buffer: Buffer, start: number, end: number): string | undefined {
  if (end - start === 3 && buffer[start] === 0x47 && buffer[start + 1] === 0x45 && buffer[start + 2] === 0x54) return "GET";
  const method = buffer.toString("latin1", start, end);
  return methods.has(method) ? method : undefined;
}

/** Digits only, within exact integers; -1 for anything else. */
function readDecimal(buffer: Buffer, start: number, end: number): number {
  if (end === start || end - start > 15) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (buffer[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const folded = byte | 0x20;
  return folded >= 0x61 && folded <= 0x66 ? folded - 0x57 : -1;
}
