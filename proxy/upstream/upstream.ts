import type { LoadReport } from "../admission/load-report.ts";
import type { HttpFault } from "../http/http-fault.ts";
import type { Http1Parser } from "../http/http1-parser.ts";
import type { UpstreamTarget } from "./connector.ts";
import type { AddressLoad } from "./address-load.ts";

/**
 * How a request was lost: its connection was `closed` (the far side may have seen it), the response broke the `protocol`, or the
 * far side said that it has not looked at it (`untaken`: any request may be repeated).
 */
export type LossKind = "closed" | "protocol" | "untaken";

/** Why a connection ended before it was ready: refused or broken, too slow, or not even begun for a lack of our `own`. */
export type ConnectEnd = "connect" | "timeout" | "own";

/** Why a request got no connection: the same, or too many are waiting already. */
export type ConnectFailure = ConnectEnd | "overflow";

/** An answer that the callee's sidecar gave by itself. */
export interface HopRefusal {
  readonly status: number;
  /** Index in `responseFlags`. */
  readonly flag: number;
  /** One word, or a word and its figures: visible ASCII. */
  readonly reason: string;
  /** False: the application knows nothing of the request, and it may be repeated whatever it was. */
  readonly seenByApp: boolean;
  /** A hint, ms; 0 for none. */
  readonly retryAfterMs: number;
}

/** A request as those see it who carry it. */
export interface OutgoingRequest {
  readonly method: string;
  readonly target: string;
  /** Header lines, each with its CRLF, without framing. */
  readonly requestFields: string;
  readonly requestFraming: "none" | "length" | "chunked" | "close";
  readonly requestLength: number;
  /** What is held of the body, latin1; all of it when `requestComplete`. */
  readonly requestBody: string;
  readonly requestTrailers: string;
  readonly requestComplete: boolean;
  readonly upgrade: string;
  readonly attempt: number;
  readonly incomingAttempt: number;
  /** What is left at `nowMs` of the time until the response's head, as the next hop is to know it; +Infinity for no limit. */
  hopLeftMs(nowMs: number): number;
  /** The longest silence that the policy allows, ms. */
  readonly idleMs: number;
  readonly priority: number;
}

/** Who uses an upstream for one request: it and its pool call back, always synchronously. */
export interface ConnectionUser {
  /** `upstream` is yours until `onComplete`, `onLost` or `onRefused`, or until you give it up. */
  onConnection(upstream: Upstream): void;
  /** `isTold`: another request has told of the same connection, so that this one is no news of its target. */
  onConnectFailure(kind: ConnectFailure, isTold: boolean): void;
  onHead(parser: Http1Parser): void;
  onBody(buffer: Buffer, start: number, end: number): void;
  /** The response is complete and the upstream no longer yours; `trailers` are lines with their CRLFs. */
  onComplete(trailers: string): void;
  /** All bytes that have arrived so far have been told of: what is gathered may be sent on now. */
  onReadEnd(): void;
  /** `isTold` as with a connect failure: what breaks with many requests on it has broken once. */
  /** `fault`: what was wrong with the response, where that is known. */
  onLost(kind: LossKind, isTold: boolean, fault?: HttpFault): void;
  /** Nothing comes from the far side for longer than the way explains. The upstream remains: it may only be late. */
  onSilence(): void;
  /** The callee's sidecar answered for itself, over a hop that says so. */
  onRefused(refusal: HopRefusal): void;
  /** What was written has left; a streamed request body may go on. */
  onWritable(): void;
}

/** What carries one request: an HTTP/1.1 connection for as long as it lasts, or a stream of the hop. */
export interface Upstream {
  /** Begins the request, with as much of its body as is held. */
  send(user: ConnectionUser, request: OutgoingRequest): void;
  /** Nothing was sent on it after all: it goes back as it came. */
  release(): void;
  /** More of a streamed body; copied where it must wait. False when the peer is slow: wait for `onWritable`. */
  write(buffer: Buffer, start: number, end: number): boolean;
  /** A streamed body has ended. */
  endBody(trailers: string): void;
  /** Bytes given to the user are still needed after the call: the next read goes elsewhere. */
  lend(): void;
  pause(): void;
  unpause(): void;
  /** The user wants nothing more of it, or not from here; what carried it may go on carrying others. */
  discard(movesOn: boolean): void;
  /** The same where the response cannot be trusted. */
  destroy(): void;
  /** A loss now may only mean that a kept connection had gone stale. */
  readonly mayBeStale: boolean;
}

/** What a request asks of the connection that it gets. */
export interface UpstreamNeeds {
  /** One on which the server has spoken: a request that must not be repeated waits for the proof that it is accepted at all. */
  readonly proven: boolean;
  /** One that was not used before. */
  readonly fresh: boolean;
  /** A connection of its own, which may become a tunnel. */
  readonly exclusive: boolean;
}

const allNeeds: readonly UpstreamNeeds[] = Array.from({ length: 8 }, (_, bits) => ({ proven: (bits & 1) !== 0, fresh: (bits & 2) !== 0, exclusive: (bits & 4) !== 0 }));

/** The same object for the same needs. */
export function upstreamNeeds(proven: boolean, fresh: boolean, exclusive: boolean): UpstreamNeeds {
  return allNeeds[(proven ? 1 : 0) | (fresh ? 2 : 0) | (exclusive ? 4 : 0)] as UpstreamNeeds;
}

/** The way to one target. */
export interface UpstreamPool {
  readonly target: UpstreamTarget;
  readonly load: AddressLoad;
  /** Ms until a connect attempt is given up; set from the policy of the service that the target belongs to. */
  connectMs: number;
  /** Gives `user` an upstream, now or later, by `onConnection` or `onConnectFailure`. */
  acquire(user: ConnectionUser, needs: UpstreamNeeds): void;
  /** Takes a waiting request back. */
  forget(user: ConnectionUser): void;
  /** Keeps a connection open to a target that may be needed soon. */
  warm(): void;
  /** Destroys all connections; requests on them hear of a loss, those waiting of a connect failure. */
  purge(): void;
  /** Pings to its address stay unanswered: what is under way is told of the silence, or lost where connections have no such state. */
  doubt(): void;
  /** No snapshot names the target any more: idle connections go, requests in flight finish. */
  drain(): void;
  /** A snapshot names it again. */
  revive(): void;
  /** New requests get new connections; idle ones go, busy ones finish first. */
  renew(): void;
  /** A handshake elsewhere has ended: there is room for one of ours. */
  handshakeAllowed(): void;
  /** How many instances answer behind the address, as far as is known. */
  instances: number;
  /** What the far side last said of its application, and how often it has; undefined and 0 where it says nothing. */
  readonly report: LoadReport | undefined;
  readonly reports: number;
  /** When it last has, ms; minus infinity where it never has. */
  readonly reportedAtMs: number;
  /** It finds out by itself when a path with requests on it falls silent. */
  readonly pingsInBand: boolean;
  readonly connections: number;
  /** Nothing comes from there any more, or no connection comes about, until one does: requests go elsewhere where they can. */
  readonly isUnreachable: boolean;
  /** Requests without a connection. */
  readonly waiting: number;
  /** Requests under way. */
  readonly streams: number;
}
