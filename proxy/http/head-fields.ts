import type { Random } from "#federation/runtime/random.ts";
import { priorityClasses } from "#federation/model/priority-class.ts";
import type { Exchange } from "./exchange.ts";
import { headerIdCount, headerIds } from "./header-id.ts";
import type { Http1Parser } from "./http1-parser.ts";
import { fieldStride } from "./http1-parser.ts";
import { claimPriority } from "./priority-claim.ts";
import { envoyTimeoutMs, grpcTimeoutMs, hopTimeoutMs } from "./time-fields.ts";

function dropTable(...ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(headerIdCount);
  for (const id of ids) table[id] = 1;
  return table;
}

const hopByHop = [
  headerIds.connection,
  headerIds.keepAlive,
  headerIds.proxyConnection,
  headerIds.te,
  headerIds.transferEncoding,
  headerIds.upgrade,
] as const;

/** Requests: hop-by-hop fields, framing (set anew), every field that only a proxy may set, and what asks a proxy for something that it has read. */
export const droppedFromRequest = dropTable(
  ...hopByHop,
  headerIds.contentLength,
  headerIds.expect,
  headerIds.proxyAuthorization,
  headerIds.forwardedClientCert,
  headerIds.atoll,
  headerIds.atollAttempt,
  headerIds.atollReason,
  headerIds.atollPriority,
  headerIds.atollTimeout,
  headerIds.envoyTimeout,
);

/** What sidecars tell each other with a response; the reason of a refusal is for the client, too. */
const hopFields = [headerIds.atoll, headerIds.atollAttempt, headerIds.atollPriority, headerIds.atollTimeout] as const;

const fromMesh = { plain: dropTable(...hopByHop, ...hopFields, headerIds.contentLength), sized: dropTable(...hopByHop, ...hopFields) } as const;
const fromApp = {
  plain: dropTable(...hopByHop, ...hopFields, headerIds.atollReason, headerIds.contentLength),
  sized: dropTable(...hopByHop, ...hopFields, headerIds.atollReason),
} as const;

/**
 * Responses: hop-by-hop fields, what only sidecars may say, and framing, except of those whose Content-Length stays true:
 * of the same length, or to HEAD, or 304 (`isSized`).
 */
export function droppedFromResponse(isMesh: boolean, isSized: boolean): Uint8Array {
  const tables = isMesh ? fromMesh : fromApp;
  return isSized ? tables.sized : tables.plain;
}

/** Field lines that travel on, as text, in as few slices as the dropped ones leave. Starts at `from` (a start line may be taken along). */
export function copyFields(parser: Http1Parser, dropped: Uint8Array, from: number): string {
  const { buffer, fields, connectionTokens } = parser;
  const end = parser.fieldCount * fieldStride;
  let text = "";
  let runStart = from;
  let lineStart = parser.fieldsStart;
  for (let slot = 0; slot < end; slot += fieldStride) {
    const id = fields[slot] ?? 0;
    const lineEnd = fields[slot + 4] ?? 0;
    if (dropped[id] === 1 || (id === headerIds.other && connectionTokens.length > 0 && isNamed(parser, slot))) {
      if (lineStart > runStart) text += buffer.toString("latin1", runStart, lineStart);
      runStart = lineEnd;
    }
    lineStart = lineEnd;
  }
  if (lineStart > runStart) text += buffer.toString("latin1", runStart, lineStart);
  return text;
}

/** True when a Connection field names this one: it was for the previous hop only. */
function isNamed(parser: Http1Parser, slot: number): boolean {
  const start = parser.fields[slot + 1] ?? 0;
  let end = start;
  while (parser.buffer[end] !== 0x3a) end++;
  return parser.connectionTokens.includes(parser.buffer.toString("latin1", start, end).toLowerCase());
}

/** The value of the first field with this id, or undefined. */
export function fieldValue(parser: Http1Parser, id: number): string | undefined {
  for (let slot = 0; slot < parser.fieldCount * fieldStride; slot += fieldStride) {
    if (parser.fields[slot] === id) return valueAt(parser, slot);
  }
  return undefined;
}

/** What `readKnownFields` reads besides the fields that any request may bring. */
export interface KnownFieldsOptions {
  /** Those that only a log needs. */
  readonly forLog: boolean;
  /** The request comes from a sidecar, whose word on its time counts. */
  readonly fromMesh: boolean;
  /** The first class, as an index in `priorityClasses`, that is the client's to claim. */
  readonly priorityMin: number;
}

const classNames: readonly string[] = priorityClasses;

/** Reads into `x` the fields that later stages ask for. */
export function readKnownFields(x: Exchange, parser: Http1Parser, options: KnownFieldsOptions): void {
  const { fields } = parser;
  for (let slot = 0; slot < parser.fieldCount * fieldStride; slot += fieldStride) {
    const id = fields[slot] ?? 0;
    if (id < headerIds.traceparent) continue;
    if (id === headerIds.traceparent) x.hasTraceparent = true;
    else if (id === headerIds.atollAttempt) x.incomingAttempt = attemptOf(valueAt(parser, slot));
    else if (id === headerIds.atollPriority) claimPriority(x, classNames.indexOf(valueAt(parser, slot)), options.priorityMin);
    else if (id >= headerIds.atollTimeout) readTimeField(x, id, valueAt(parser, slot), options.fromMesh);
    else if (id === headerIds.requestId) readRequestId(x, parser, slot, options.forLog);
    else if (options.forLog) readLogField(x, parser, slot, id);
  }
}

/** Each only shortens. */
function readTimeField(x: Exchange, id: number, value: string, fromMesh: boolean): void {
  if (id === headerIds.grpcTimeout) x.callerLimitMs = Math.min(x.callerLimitMs, grpcTimeoutMs(value));
  else if (id === headerIds.envoyTimeout) x.callerLimitMs = Math.min(x.callerLimitMs, envoyTimeoutMs(value));
  else if (fromMesh) x.hopLimitMs = Math.min(x.hopLimitMs, hopTimeoutMs(value));
}

function readLogField(x: Exchange, parser: Http1Parser, slot: number, id: number): void {
  if (id === headerIds.userAgent) x.userAgent = valueAt(parser, slot);
  else if (id === headerIds.forwardedFor) x.forwardedFor = valueAt(parser, slot);
}

function readRequestId(x: Exchange, parser: Http1Parser, slot: number, forLog: boolean): void {
  x.hasRequestId = true;
  if (forLog) x.requestId = valueAt(parser, slot);
}

function valueAt(parser: Http1Parser, slot: number): string {
  return parser.buffer.toString("latin1", parser.fields[slot + 2] ?? 0, parser.fields[slot + 3] ?? 0);
}

/** Anything but a small number counts as a first attempt: the field can only lower what we do for a request. */
function attemptOf(text: string): number {
  return /^[1-9][0-9]?$/.test(text) ? Number(text) : 1;
}

const hexBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * Makes `traceparent` values for requests that come without one: a new trace, not sampled, so that logs of all hops
 * of one request can be joined.
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export class TraceParents {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): string {
    return `00-${this.nextId()}-${this.#hex32()}${this.#hex32()}-00`;
  }

  /** A trace's id by itself. */
  nextId(): string {
    return this.#hex32() + this.#hex32() + this.#hex32() + this.#hex32();
  }

  #hex32(): string {
    const bits = Math.floor(this.#random.next() * 0x1_0000_0000);
    return `${hexBytes[bits >>> 24] ?? ""}${hexBytes[(bits >>> 16) & 255] ?? ""}${hexBytes[(bits >>> 8) & 255] ?? ""}${hexBytes[bits & 255] ?? ""}`;
  }
}
