import type { SpiffeId } from "#federation/model/names.ts";
import type { TrafficPolicySpec } from "#federation/model/traffic-policy.ts";
import type { RetryBudget } from "#federation/routing/retry-budget.ts";
import type { Admission } from "../admission/admission.ts";
import type { Ticket } from "../admission/ticket.ts";
import type { Candidate, Chooser } from "../upstream/chooser.ts";
import { Tries } from "../upstream/chooser.ts";
import type { ConnectionUser, OutgoingRequest, Upstream } from "../upstream/upstream.ts";
import type { UpstreamConnection } from "../upstream/upstream-connection.ts";
import { defaultPriority } from "#federation/model/priority-class.ts";
import type { PriorityClaim } from "./priority-claim.ts";
import { unclaimed } from "./priority-claim.ts";
import type { Http1Parser } from "./http1-parser.ts";
import type { Refusal } from "./refusal.ts";
import type { RouteLatency } from "./route-latency.ts";
import type { ResponseFlag } from "./response-flag.ts";
import type { TimerOwner } from "./timing-wheel.ts";
import { WheelTimer } from "./timing-wheel.ts";

/** What a stage wants next: go on, send the reply it has set, or wait until it calls `client.resume(x)`. */
export type StageResult = 0 | 1 | 2;
export const Continue: StageResult = 0;
export const Reply: StageResult = 1;
export const Wait: StageResult = 2;

/**
 * One step of the request path. A stage is shared by all requests and keeps nothing of one of them: what belongs
 * to a request stands in its Exchange. Nothing here may be async, throw in normal flow, or allocate without need.
 */
export interface Stage {
  readonly name: string;
  request(x: Exchange): StageResult;
  /** The response head that the client will get is known: `status` is set. In reverse order of the request. */
  response(x: Exchange): void;
  /** The exchange is over, however it ended; called exactly once for each `request` that ran. In reverse order. */
  end(x: Exchange): void;
}

/** Where a request leads: what the route stage finds and later stages read. */
export interface Route {
  /** The service host; "app" on the inbound side. */
  readonly name: string;
  readonly chooser: Chooser;
  readonly policy: TrafficPolicySpec;
  readonly budget: RetryBudget;
  /** Of its tries; absent where there is nowhere else to go. */
  readonly latency?: RouteLatency;
  /** Inbound: the hop to the app may be framed by closing; mesh hops never are. */
  readonly allowsCloseDelimited: boolean;
  /** Inbound leaves retries to the caller's side, so that hops do not multiply them. */
  readonly retries: boolean;
  /** Inbound: lets requests into the application behind it. */
  readonly admission?: Admission;
}

/** The client's side of an exchange, as the forwarding stage sees it. */
export interface ClientSide {
  /** A stage that said Wait goes on. */
  resume(x: Exchange): void;
  /** Sends a short answer of our own: `x.status`, `x.flag`, `x.reason` are set. */
  reply(x: Exchange): void;
  /** The response head is `x.responseHead` (without framing and connection fields). Runs the stages' `response`. */
  startResponse(x: Exchange): void;
  /** Body bytes of a started response. True when `buffer` itself is on its way to the client and must not change. */
  writeBody(x: Exchange, buffer: Buffer, start: number, end: number): boolean;
  /** Sends what is gathered. False when the client is slow: pause until `clientWritable`. */
  flush(x: Exchange): boolean;
  /** The response is complete: what is gathered goes out in one write. */
  finishResponse(x: Exchange): void;
  /** The response broke after its head was sent: the client sees a reset, never a clean end. */
  abortResponse(x: Exchange): void;
  /** Both sides become raw bytes after the head in `x.responseHead`. */
  startTunnel(x: Exchange, connection: UpstreamConnection): void;
  /** A streamed request body may flow again. */
  resumeRequestBody(x: Exchange): void;
}

/** Watches over an exchange's limits in time. */
export interface TimeKeeper {
  /** Another limit rules now, or the one that does has come nearer. `nowMs` is monotonic. */
  watch(x: Exchange, nowMs: number): void;
  /** The exchange's timer is due. */
  onTimer(x: Exchange): void;
}

/** Why an exchange ends before its response: its client left, its time is over, or nothing flowed for too long. */
export type CancelReason = "clientGone" | "timeout" | "silence";

/** What the client's side tells whoever forwards the exchange. */
export interface Forwarder {
  /** More of the request body. False when upstream is slow: pause until `resumeRequestBody`. */
  requestBody(x: Exchange, buffer: Buffer, start: number, end: number): boolean;
  /** The request body is complete. */
  requestComplete(x: Exchange): void;
  /** The client reads again. */
  clientWritable(x: Exchange): void;
  /** The exchange is over before its response was: let go of upstream, and with it of all that goes on behind it. Answers unless the client is gone. */
  cancel(x: Exchange, reason: CancelReason): void;
  /** The try under way has had its time, the request has not: goes elsewhere when it may, and waits on otherwise. */
  tryTimedOut(x: Exchange): void;
}

/** How a body is framed. */
export type BodyFraming = "none" | "length" | "chunked" | "close";

/**
 * One request and its response, in one shape for all: the server connection owns one and resets it between
 * requests, so that the request path allocates no state.
 */
export class Exchange implements OutgoingRequest, TimerOwner {
  readonly client: ClientSide;
  readonly deadline: WheelTimer;
  readonly tries = new Tries();
  /** The forwarding stage's own part, made at the first request of a connection and kept. */
  user: ConnectionUser | undefined = undefined;
  /** The admission stage's own part, made and kept likewise. */
  ticket: Ticket | undefined = undefined;

  // The request.
  method = "";
  target = "";
  host = "";
  minorVersion = 1;
  /** The client's connection may carry another request after this one. */
  keepAlive = true;
  idempotent = false;
  /** Retries that earlier hops have spent: a request with attempt > 1 is not retried from the budget here. */
  incomingAttempt = 1;
  /** Index in `priorityClasses`. */
  priority = defaultPriority;
  /** Whether its client has said so. */
  priorityClaim: PriorityClaim = unclaimed;
  upgrade = "";
  expectsContinue = false;
  hasTraceparent = false;
  hasRequestId = false;
  /** Header lines that travel on, each with its CRLF. */
  requestFields = "";
  requestFraming: BodyFraming = "none";
  requestLength = 0;
  /** Held body as latin1 text; complete when `requestComplete`. */
  requestBody = "";
  requestTrailers = "";
  requestComplete = false;
  /** Body too large to hold: it flows on as it arrives, and the request is tried once only. */
  requestStreaming = false;
  /** Part of the body has left towards upstream. */
  requestBodySent = false;
  /** The client is not read from, because upstream does not take what it sends. */
  requestPaused = false;

  // Who calls; inbound only, from the handshake.
  callerId: SpiffeId | "" = "";
  sni = "";
  clientCertificate = "";
  /** The rule by which the caller was refused, in words. */
  refusedBy = "";
  /** Its connection came while we drain. */
  late = false;

  // Where it goes.
  route: Route | undefined = undefined;
  forwarder: Forwarder | undefined = undefined;
  candidate: Candidate | undefined = undefined;
  upstream: Upstream | undefined = undefined;
  attempt = 0;
  freeTryUsed = false;
  /** The latest try was on a kept connection that turned out dead: the next one opens its own. */
  wantsFresh = false;
  budgetTries = 0;
  /** It was sent on: what is behind us may have seen it. */
  seenUpstream = false;
  /** The answer is the callee's sidecar's own. */
  refusal: Refusal | undefined = undefined;

  // Its time. All moments are monotonic ms; +Infinity: none.
  keeper: TimeKeeper | undefined = undefined;
  /** What the request asks for itself (grpc-timeout, x-envoy-upstream-rq-timeout-ms), ms; only shortens. */
  callerLimitMs = Number.POSITIVE_INFINITY;
  /** What the caller's sidecar says is left, ms; only from the mesh. */
  hopLimitMs = Number.POSITIVE_INFINITY;
  /** The longest silence that the caller's policy allows, ms; only over the hop. */
  hopIdleMs = Number.POSITIVE_INFINITY;
  /** The time until the response's head that this request gets here, ms. */
  limitMs = Number.POSITIVE_INFINITY;
  /** It is shorter than what the policy gives: running out of it says nothing of upstream. */
  limitAsked = false;
  /** Whoever left asks elsewhere, and did not run out of patience. */
  callerMovedOn = false;
  /** When that time is over. Moves to the end of a request body that streams. */
  deadlineAtMs = Number.POSITIVE_INFINITY;
  /** When the try under way began. */
  tryStartMs = 0;
  /** When the try under way has had its time; whoever sets it tells the keeper. */
  tryEndsAtMs = Number.POSITIVE_INFINITY;
  /** When the whole exchange ends, even one that flows. */
  streamEndsAtMs = Number.POSITIVE_INFINITY;
  idleMs = Number.POSITIVE_INFINITY;
  /** When a byte of a streaming body, or of an upgraded connection, last passed. */
  lastByteMs = 0;

  // The response.
  status = 0;
  flag: ResponseFlag = "-";
  reason = "";
  /** When it may be worth asking again, where we refuse; ms, 0 for no hint. */
  retryAfterMs = 0;
  responseHead = "";
  responseFraming: BodyFraming = "none";
  responseBody = "";
  responseTrailers = "";
  /** Its head has been sent (or is in the held text that is leaving): no retry any more. */
  responseStarted = false;
  responseHeld = false;
  /** It came in more than one read, so that its silence is watched. */
  responseFlows = false;
  /** The client's connection ends with this response. */
  closeAfter = false;

  // Telemetry.
  startMs = 0;
  upstreamStartMs = 0;
  upstreamMs = -1;
  bytesReceived = 0;
  bytesSent = 0;
  userAgent = "";
  forwardedFor = "";
  requestId = "";
  stagesRun = 0;
  active = false;

  constructor(client: ClientSide) {
    this.client = client;
    this.deadline = new WheelTimer(this, 0);
  }

  /** A limit in time is due. */
  onTimer(): void {
    this.keeper?.onTimer(this);
  }

  /** Makes it ready for the next request of its connection. */
  reset(): void {
    this.tries.reset();
    this.incomingAttempt = 1;
    this.priority = defaultPriority;
    this.priorityClaim = unclaimed;
    this.upgrade = "";
    this.hasTraceparent = false;
    this.hasRequestId = false;
    this.requestBody = "";
    this.requestTrailers = "";
    this.requestComplete = false;
    this.requestStreaming = false;
    this.requestBodySent = false;
    this.requestPaused = false;
    this.refusedBy = "";
    this.route = undefined;
    this.forwarder = undefined;
    this.candidate = undefined;
    this.upstream = undefined;
    this.attempt = 0;
    this.freeTryUsed = false;
    this.wantsFresh = false;
    this.budgetTries = 0;
    this.seenUpstream = false;
    this.refusal = undefined;
    this.keeper = undefined;
    this.callerLimitMs = Number.POSITIVE_INFINITY;
    this.hopLimitMs = Number.POSITIVE_INFINITY;
    this.hopIdleMs = Number.POSITIVE_INFINITY;
    this.limitMs = Number.POSITIVE_INFINITY;
    this.limitAsked = false;
    this.callerMovedOn = false;
    this.deadlineAtMs = Number.POSITIVE_INFINITY;
    this.tryEndsAtMs = Number.POSITIVE_INFINITY;
    this.streamEndsAtMs = Number.POSITIVE_INFINITY;
    this.idleMs = Number.POSITIVE_INFINITY;
    this.lastByteMs = 0;
    this.status = 0;
    this.flag = "-";
    this.reason = "";
    this.retryAfterMs = 0;
    this.responseHead = "";
    this.responseFraming = "none";
    this.responseBody = "";
    this.responseTrailers = "";
    this.responseStarted = false;
    this.responseHeld = false;
    this.responseFlows = false;
    this.closeAfter = false;
    this.upstreamMs = -1;
    this.bytesReceived = 0;
    this.bytesSent = 0;
    this.userAgent = "";
    this.forwardedFor = "";
    this.requestId = "";
    this.stagesRun = 0;
  }

  hopLeftMs(nowMs: number): number {
    // While the body streams, its time has not begun here, nor will it there.
    return this.requestComplete ? this.deadlineAtMs - nowMs : this.limitMs;
  }

  /** More of the request's body, for whoever forwards it; held where nobody does yet. False: no more until it is resumed. */
  takeBody(buffer: Buffer, start: number, end: number, heldBytesMax: number): boolean {
    if (this.forwarder !== undefined) return this.forwarder.requestBody(this, buffer, start, end);
    this.requestBody += buffer.toString("latin1", start, end);
    return this.requestBody.length <= heldBytesMax;
  }

  /** The request's body is complete. */
  completeBody(trailers: string): void {
    this.requestTrailers = trailers;
    if (this.forwarder === undefined) this.requestComplete = true;
    else this.forwarder.requestComplete(this);
  }

  /** Copies from a parsed request head what outlives the parser's buffer. */
  readHead(parser: Http1Parser): void {
    this.method = parser.method;
    this.target = parser.target;
    this.host = parser.host;
    this.minorVersion = parser.minorVersion;
    this.keepAlive = parser.keepAlive;
    this.expectsContinue = parser.expectsContinue;
    // HTTP/2 by upgrade would carry requests past this reader; with a body an upgrade is no longer unambiguous.
    this.upgrade = parser.framing === "none" && parser.upgrade.toLowerCase() !== "h2c" ? parser.upgrade : "";
    this.idempotent = parser.idempotent;
    this.requestFraming = parser.framing;
    this.requestLength = parser.contentLength;
    this.active = true;
  }
}
