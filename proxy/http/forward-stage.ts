import type { Clock } from "#federation/runtime/clock.ts";
import { UpstreamConnection } from "../upstream/upstream-connection.ts";
import { upstreamNeeds } from "../upstream/upstream.ts";
import type { ConnectFailure, ConnectionUser, HopRefusal, LossKind, Upstream } from "../upstream/upstream.ts";
import { throttled } from "../upstream/chooser.ts";
import type { Candidate, Outcome } from "../upstream/chooser.ts";
import type { CancelReason, Exchange, Forwarder, Stage, StageResult } from "./exchange.ts";
import { evidenceOf } from "../upstream/outcome-evidence.ts";
import { Wait } from "./exchange.ts";
import { copyFields, droppedFromResponse, fieldValue } from "./head-fields.ts";
import { headerIds } from "./header-id.ts";
import type { HttpLimits } from "./http-limits.ts";
import type { Http1Parser } from "./http1-parser.ts";
import { refusalOf } from "./refusal.ts";
import type { Refusal } from "./refusal.ts";
import { responseFlags } from "./response-flag.ts";
import type { ResponseFlag } from "./response-flag.ts";
import type { TimerOwner, TimingWheel } from "./timing-wheel.ts";
import { WheelTimer } from "./timing-wheel.ts";

/** A body that is still incomplete after this flows on unheld: it is a stream, and holding it would starve its reader. */
const holdMs = 250;

/** What the forwarding stage works with. */
export interface ForwardOptions {
  readonly clock: Clock;
  readonly wheel: TimingWheel;
  readonly limits: HttpLimits;
}

/**
 * The last stage: choose a place and an endpoint, take a connection, write, and hand the response back. A retry is a
 * transition back to choosing:
 *
 *   choosing -> connecting -> sent -> answered
 *      ^____________|__________|   connect failure (any request), reset (idempotent): once free, then by budget
 *      ^_______________________|   retriable status (idempotent): by budget
 */
export class ForwardStage implements Stage, Forwarder {
  readonly name = "forward";
  readonly #options: ForwardOptions;

  constructor(options: ForwardOptions) {
    this.#options = options;
  }

  get options(): ForwardOptions {
    return this.#options;
  }

  request(x: Exchange): StageResult {
    x.forwarder = this;
    x.user ??= new Attempt(this, x);
    x.upstreamStartMs = x.startMs;
    const { heldBytesMax } = this.#options.limits;
    if (x.requestFraming === "none") x.requestComplete = true;
    // An earlier stage may have let it wait, while its body came.
    if (x.requestComplete) this.tryNext(x);
    else if (x.requestBody.length > heldBytesMax || (x.requestFraming === "length" && x.requestLength > heldBytesMax)) this.streamRequest(x);
    else (x.user as Attempt).holdRequest(x.startMs);
    return Wait;
  }

  response(): void {
    // The answer is already under way when stages hear of it.
  }

  end(x: Exchange): void {
    (x.user as Attempt | undefined)?.release();
  }

  requestBody(x: Exchange, buffer: Buffer, start: number, end: number): boolean {
    if (x.requestStreaming && x.upstream !== undefined) {
      x.requestBodySent = true;
      x.lastByteMs = this.#options.clock.monotonicMs();
      return x.upstream.write(buffer, start, end);
    }
    x.requestBody += buffer.toString("latin1", start, end);
    if (x.requestStreaming) return false;
    if (x.requestBody.length > this.#options.limits.heldBytesMax) this.streamRequest(x);
    return true;
  }

  requestComplete(x: Exchange): void {
    x.requestComplete = true;
    (x.user as Attempt).requestHeld();
    if (!x.requestStreaming) {
      this.tryNext(x);
      return;
    }
    // What it took to send the body was not a wait for the answer: that begins now.
    const nowMs = this.#options.clock.monotonicMs();
    x.deadlineAtMs = Math.min(nowMs + x.limitMs, x.streamEndsAtMs);
    x.keeper?.watch(x, nowMs);
    x.upstream?.endBody(x.requestTrailers);
  }

  clientWritable(x: Exchange): void {
    x.lastByteMs = this.#options.clock.monotonicMs();
    x.upstream?.unpause();
  }

  cancel(x: Exchange, reason: CancelReason): void {
    (x.user as Attempt | undefined)?.release();
    // The client's own silence, and a time that is shorter than the policy's, say nothing of upstream; nor does the end of a stream.
    const isClientSilent = reason === "silence" && !x.requestPaused;
    const blamesUpstream = reason !== "clientGone" && !isClientSilent && !x.limitAsked && x.status === 0;
    this.#letGo(x, blamesUpstream ? "timeout" : "cancelled");
    if (reason === "clientGone") return;
    if (x.responseStarted) {
      x.flag = reason === "silence" ? "SI" : "UT";
      x.reason = reason === "silence" ? "stream_silent" : "stream_timeout";
      x.client.abortResponse(x);
    } else if (isClientSilent) this.fail(x, 408, "SI", "request_silent");
    else this.fail(x, 504, "UT", "request_timeout");
  }

  tryTimedOut(x: Exchange): void {
    if (!x.idempotent || x.candidate === undefined || !this.#mayTryAgain(x, false)) return;
    this.#letGo(x, "timeout");
    this.tryNext(x);
  }

  /** The body is too long, or too slow, to be held: from now on it flows, and there is one try. */
  streamRequest(x: Exchange): void {
    if (x.requestStreaming || x.requestComplete) return;
    x.requestStreaming = true;
    x.lastByteMs = this.#options.clock.monotonicMs();
    x.keeper?.watch(x, x.lastByteMs);
    this.tryNext(x);
  }

  /** Chooses a target and asks its pool for a connection. */
  tryNext(x: Exchange): void {
    const { route } = x;
    if (route === undefined) return;
    const before = x.tries.last;
    const candidate = route.chooser.choose(x.tries, x.priority);
    if (candidate === undefined) this.fail(x, 503, "UH", "no_healthy_upstream");
    else if (candidate === throttled) this.fail(x, 503, "UO", "over_limit");
    else this.#take(x, candidate, before);
  }

  #take(x: Exchange, candidate: Candidate, before: Candidate | undefined): void {
    x.candidate = candidate;
    x.attempt++;
    this.#boundTry(x);
    if (candidate === before) x.wantsFresh = true;
    candidate.pool.acquire(x.user as Attempt, upstreamNeeds(!x.idempotent, x.wantsFresh, x.upgrade !== ""));
  }

  /**
   * A try that may be made again elsewhere has the time that the policy gives it, or, where that says nothing, so much that
   * nearly no answer of this route comes later: an application that has fallen silent holds nobody up for longer.
   */
  #boundTry(x: Exchange): void {
    const { route } = x;
    const nowMs = this.#options.clock.monotonicMs();
    x.tryStartMs = nowMs;
    if (route === undefined || !x.idempotent) return;
    const usualMs = route.chooser.hasOthers ? route.latency?.tryBoundMs(nowMs) : undefined;
    const boundMs = route.policy.timeouts.tryMs ?? usualMs ?? Number.POSITIVE_INFINITY;
    if (boundMs === Number.POSITIVE_INFINITY) return;
    x.tryEndsAtMs = nowMs + boundMs;
    x.keeper?.watch(x, nowMs);
  }

  /** An answer of our own. */
  fail(x: Exchange, status: number, flag: ResponseFlag, reason: string): void {
    (x.user as Attempt).release();
    x.status = status;
    x.flag = flag;
    x.reason = reason;
    x.client.reply(x);
  }

  /** No connection came. The request has not left, so any request may be tried elsewhere. */
  connectFailed(x: Exchange, kind: ConnectFailure): void {
    const failed = x.candidate;
    this.#letGo(x, connectOutcomes[kind]);
    if (kind === "overflow") {
      this.fail(x, 503, "UO", "too_many_waiting");
      return;
    }
    if (this.#mayTryAgain(x, true)) {
      this.tryNext(x);
      return;
    }
    // Our own application has not seen the request: the caller's sidecar may repeat it elsewhere.
    const unreachable = kind === "timeout" ? "connect_timeout" : "connect_failed";
    const reason = failed !== undefined && !isMeshHop(failed) ? "app_unreachable" : unreachable;
    this.fail(x, 503, x.attempt > 1 && failed !== undefined && x.budgetTries > 0 ? "URX" : "UF", reason);
  }

  /** The connection ended before the response was complete. */
  lost(x: Exchange, kind: LossKind): void {
    // A kept connection that its server closed while we wrote: no sign of trouble, and a new one will do.
    const wasStale = kind === "closed" && x.status === 0 && x.upstream?.mayBeStale === true;
    this.#letGo(x, wasStale || kind === "untaken" ? "cancelled" : "reset");
    if (x.responseStarted) {
      x.flag = kind === "protocol" ? "UPE" : "UC";
      x.client.abortResponse(x);
      return;
    }
    x.responseBody = "";
    x.responseHead = "";
    x.responseHeld = false;
    x.status = 0;
    x.flag = "-";
    x.reason = "";
    x.refusal = undefined;
    // The callee's side has not looked at it, so that even what must not be done twice goes elsewhere.
    if (kind === "untaken" && this.#mayTryAgain(x, true)) {
      this.tryNext(x);
      return;
    }
    if (kind !== "protocol" && x.idempotent && !x.requestBodySent && (this.#mayTryAgain(x, true) || this.#mayReplace(x, wasStale))) {
      if (wasStale) x.wantsFresh = true;
      this.tryNext(x);
      return;
    }
    if (kind === "protocol") this.fail(x, 502, "UPE", "upstream_protocol_error");
    else this.fail(x, 503, x.budgetTries > 0 ? "URX" : "UC", "upstream_reset");
  }

  /** The callee's sidecar answered for itself. */
  refused(x: Exchange, refusal: HopRefusal): void {
    const known = refusalOf(refusal.reason);
    const flag = known?.flag ?? responseFlags[refusal.flag] ?? "-";
    this.#letGo(x, known?.outcome ?? (refusal.status >= 500 ? "gatewayError" : "refused"));
    if (known === undefined ? this.#mayRepeat(x, refusal.status, flag) : !refusal.seenByApp && this.takesRepeat(x, known)) {
      this.tryNext(x);
      return;
    }
    if (known?.outcome === "overloaded" && !refusal.seenByApp && this.#trySpill(x)) return;
    x.refusal = known;
    x.retryAfterMs = refusal.retryAfterMs;
    this.fail(x, refusal.status, known === undefined && x.budgetTries > 0 ? "URX" : flag, refusal.reason);
  }

  /** What one application has no room for goes where another has said that it has some, within the budget; nowhere else. */
  #trySpill(x: Exchange): boolean {
    const { route } = x;
    if (route === undefined || !this.#mayTryAgain(x, false)) return false;
    const candidate = route.chooser.chooseWithRoom(x.tries);
    if (candidate === undefined) return false;
    this.#take(x, candidate, undefined);
    return true;
  }

  /** An application that broke off is asked again as one whose own connection was lost; other failures as the responses that they would be. */
  #mayRepeat(x: Exchange, status: number, flag: ResponseFlag): boolean {
    if (flag === "UC") return x.idempotent && this.#mayTryAgain(x, true);
    return this.takesStatusRetry(x, status);
  }

  /** True when this status is to be tried again; the budget is then charged. */
  takesStatusRetry(x: Exchange, status: number): boolean {
    const { route } = x;
    if (route === undefined || !x.idempotent || x.requestBodySent || !route.policy.retries.statuses.includes(status)) return false;
    return this.#mayTryAgain(x, false);
  }

  /** True when a request that a callee's sidecar refused is to be tried elsewhere: its application has not seen it. */
  takesRepeat(x: Exchange, refusal: Refusal): boolean {
    return refusal.elsewhere && this.#mayTryAgain(x, true);
  }

  /** The head of the response that counts has come. */
  headCame(x: Exchange): void {
    const latency = x.route?.latency;
    if (latency === undefined || x.requestStreaming) return;
    const nowMs = this.#options.clock.monotonicMs();
    latency.record(nowMs - x.tryStartMs, nowMs);
  }

  /** The response has come whole. */
  answered(x: Exchange, outcome: Outcome): void {
    if (outcome === "success" && x.route !== undefined) {
      const nowMs = this.#options.clock.monotonicMs();
      x.route.budget.recordAnswered(nowMs);
    }
    this.settle(x, outcome);
  }

  /** Ends the try that is under way, as `outcome`. */
  settle(x: Exchange, outcome: Outcome): void {
    const { candidate } = x;
    if (candidate === undefined) return;
    x.candidate = undefined;
    x.upstream = undefined;
    const { wheel, clock } = this.#options;
    x.route?.chooser.report(candidate, outcome === "success" ? outcome : evidenceOf(outcome, wheel.stall, { sinceMs: x.startMs, nowMs: clock.monotonicMs() }));
  }

  #letGo(x: Exchange, outcome: Outcome): void {
    const { candidate, upstream } = x;
    if (candidate === undefined) return;
    if (upstream === undefined) candidate.pool.forget(x.user as Attempt);
    // Under overload callers give up in numbers. Closing a TLS connection for each would answer load with handshakes, so
    // the unwanted response is read and the connection kept; the callee's side knows by its deadline that nobody waits.
    // The plain hop to the application costs no handshake, and its end is the only way to tell the application to stop;
    // so is the end of a connection whose response flows already.
    else if ((outcome === "timeout" || outcome === "cancelled") && x.status === 0 && isMeshHop(candidate)) upstream.discard();
    else upstream.destroy();
    this.settle(x, outcome);
  }

  /** A side that leaves retries to its caller still replaces a stale connection once: that is this hop's own matter. */
  #mayReplace(x: Exchange, wasStale: boolean): boolean {
    if (!wasStale || x.route?.retries !== false || x.freeTryUsed) return false;
    x.freeTryUsed = true;
    return true;
  }

  #mayTryAgain(x: Exchange, hasFreeTry: boolean): boolean {
    const { route } = x;
    if (route === undefined || !route.retries || x.requestBodySent) return false;
    if (hasFreeTry && !x.freeTryUsed) {
      x.freeTryUsed = true;
      return true;
    }
    if (x.incomingAttempt > 1 || x.budgetTries >= route.policy.retries.retriesMax) return false;
    if (!route.budget.tryTake(this.#options.clock.monotonicMs())) return false;
    x.budgetTries++;
    return true;
  }
}

/** Whether another sidecar, and not our own application, is at the other end. */
function isMeshHop(candidate: Candidate): boolean {
  return candidate.pool.target.sni !== "";
}

/** What a connection that did not come says of its target: nothing when we had no room, slowness when it took too long. */
const connectOutcomes = { overflow: "cancelled", timeout: "timeout", connect: "connectFailure" } as const satisfies Record<ConnectFailure, Outcome>;

const timerKinds = { holdRequest: 0, holdResponse: 1 } as const;

/** An exchange's side towards upstream connections: one for each client connection, for all its requests. */
class Attempt implements ConnectionUser, TimerOwner {
  readonly #stage: ForwardStage;
  readonly #x: Exchange;
  readonly #requestTimer: WheelTimer;
  readonly #responseTimer: WheelTimer;

  constructor(stage: ForwardStage, x: Exchange) {
    this.#stage = stage;
    this.#x = x;
    this.#requestTimer = new WheelTimer(this, timerKinds.holdRequest);
    this.#responseTimer = new WheelTimer(this, timerKinds.holdResponse);
  }

  holdRequest(nowMs: number): void {
    this.#stage.options.wheel.arm(this.#requestTimer, nowMs, holdMs);
  }

  requestHeld(): void {
    this.#stage.options.wheel.cancel(this.#requestTimer);
  }

  release(): void {
    const { wheel } = this.#stage.options;
    wheel.cancel(this.#requestTimer);
    wheel.cancel(this.#responseTimer);
  }

  onTimer(kind: number): void {
    const x = this.#x;
    if (!x.active) return;
    if (kind === timerKinds.holdRequest) this.#stage.streamRequest(x);
    else if (x.responseHeld) {
      this.#startStreaming();
      if (!x.client.flush(x)) x.upstream?.pause();
    }
  }

  onConnection(upstream: Upstream): void {
    const x = this.#x;
    const nowMs = this.#stage.options.clock.monotonicMs();
    if (nowMs >= x.deadlineAtMs && !x.requestStreaming) {
      // Its time ran out while it waited, and the timer has not told yet: nobody begins work for it.
      upstream.release();
      this.#stage.cancel(x, "timeout");
      return;
    }
    x.upstream = upstream;
    x.seenUpstream = true;
    upstream.send(this, x);
    if (x.requestComplete) return;
    x.requestBodySent = x.requestBodySent || x.requestBody !== "";
    x.requestBody = "";
    x.client.resumeRequestBody(x);
  }

  onConnectFailure(kind: ConnectFailure): void {
    this.#stage.connectFailed(this.#x, kind);
  }

  onHead(parser: Http1Parser): void {
    const x = this.#x;
    const { status } = parser;
    if (status === 101) {
      this.#onSwitch(parser);
      return;
    }
    if (parser.framing === "close" && x.route?.allowsCloseDelimited === false) {
      x.upstream?.destroy();
      this.#stage.lost(x, "protocol");
      return;
    }
    const isMesh = x.candidate !== undefined && isMeshHop(x.candidate);
    const refusal = isMesh && status >= 400 ? refusalOf(fieldValue(parser, headerIds.atollReason)) : undefined;
    if (refusal === undefined ? this.#stage.takesStatusRetry(x, status) : this.#stage.takesRepeat(x, refusal)) {
      x.upstream?.discard();
      this.#stage.settle(x, refusal?.outcome ?? "gatewayError");
      this.#stage.tryNext(x);
      return;
    }
    if (refusal !== undefined) {
      x.refusal = refusal;
      x.flag = refusal.flag;
      x.reason = refusal.reason;
    } else if (x.budgetTries > 0 && x.route?.policy.retries.statuses.includes(status) === true) x.flag = "URX";
    x.status = status;
    this.#stage.headCame(x);
    x.responseFraming = parser.framing;
    const isSized = parser.framing === "length" || (parser.framing === "none" && status !== 204);
    const dropped = droppedFromResponse(isMesh, isSized);
    // With the same version number the status line travels as it is, in one slice with the fields.
    const isSameVersion = parser.minorVersion === 1;
    x.responseHead = isSameVersion ? copyFields(parser, dropped, parser.headStart) : `HTTP/1.1${copyFields(parser, dropped, parser.headStart + 8)}`;
    x.responseHeld = this.#mayHold(parser);
    if (!x.responseHeld) x.client.startResponse(x);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    const x = this.#x;
    if (x.responseHeld) {
      x.responseBody += buffer.toString("latin1", start, end);
      if (x.responseBody.length > this.#stage.options.limits.heldBytesMax) this.#startStreaming();
      return;
    }
    if (x.client.writeBody(x, buffer, start, end)) x.upstream?.lend();
  }

  onReadEnd(): void {
    const x = this.#x;
    if (x.responseHeld) {
      const { wheel, clock } = this.#stage.options;
      if (!this.#responseTimer.armed) wheel.arm(this.#responseTimer, clock.monotonicMs(), holdMs);
      return;
    }
    if (!x.responseStarted) return;
    this.#flows();
    if (!x.client.flush(x)) x.upstream?.pause();
  }

  onComplete(trailers: string): void {
    const x = this.#x;
    this.#stage.options.wheel.cancel(this.#responseTimer);
    x.upstreamMs = this.#stage.options.clock.monotonicMs() - x.upstreamStartMs;
    x.responseTrailers = trailers;
    this.#stage.answered(x, x.refusal?.outcome ?? (x.status === 502 || x.status === 503 || x.status === 504 ? "gatewayError" : "success"));
    if (x.responseHeld) {
      // Complete and held: it has a known length now, whatever its framing was. Trailers need chunks still.
      if ((x.responseFraming === "chunked" && trailers === "") || x.responseFraming === "close") {
        x.responseHead += `content-length: ${x.responseBody.length}\r\n`;
        x.responseFraming = "length";
      }
      x.client.startResponse(x);
    }
    x.client.finishResponse(x);
  }

  onRefused(refusal: HopRefusal): void {
    this.#stage.refused(this.#x, refusal);
  }

  onLost(kind: LossKind): void {
    this.#stage.options.wheel.cancel(this.#responseTimer);
    this.#stage.lost(this.#x, kind);
  }

  onWritable(): void {
    this.#x.lastByteMs = this.#stage.options.clock.monotonicMs();
    this.#x.client.resumeRequestBody(this.#x);
  }

  #startStreaming(): void {
    const x = this.#x;
    x.responseHeld = false;
    x.client.startResponse(x);
    this.#flows();
  }

  /** More of a response than one read holds has come: from now on its silence is watched. */
  #flows(): void {
    const x = this.#x;
    x.lastByteMs = this.#stage.options.clock.monotonicMs();
    if (x.responseFlows) return;
    x.responseFlows = true;
    x.keeper?.watch(x, x.lastByteMs);
  }

  /** Responses to idempotent requests are held while they are small, so that a broken one can be fetched again. */
  #mayHold(parser: Http1Parser): boolean {
    const x = this.#x;
    if (parser.framing === "none") return true;
    if (!x.idempotent || x.requestStreaming || x.route?.retries === false) return false;
    if (parser.framing === "length") return parser.contentLength <= this.#stage.options.limits.heldBytesMax;
    return fieldValue(parser, headerIds.contentType)?.startsWith("text/event-stream") !== true;
  }

  #onSwitch(parser: Http1Parser): void {
    const x = this.#x;
    const connection = x.upstream;
    if (!(connection instanceof UpstreamConnection) || x.upgrade === "") {
      connection?.destroy();
      this.#stage.lost(x, "protocol");
      return;
    }
    x.status = 101;
    x.responseHead = `${copyFields(parser, droppedFromResponse(x.candidate !== undefined && isMeshHop(x.candidate), false), parser.headStart)}connection: upgrade\r\nupgrade: ${parser.upgrade}\r\n`;
    x.upstreamMs = this.#stage.options.clock.monotonicMs() - x.upstreamStartMs;
    x.client.startTunnel(x, connection);
    this.#stage.settle(x, "success");
  }
}
