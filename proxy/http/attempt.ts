import type { Clock } from "#federation/runtime/clock.ts";
import type { Candidate, Outcome } from "../upstream/chooser.ts";
import { UpstreamConnection } from "../upstream/upstream-connection.ts";
import type { ConnectFailure, ConnectionUser, HopRefusal, LossKind, Upstream } from "../upstream/upstream.ts";
import type { CancelReason, Exchange } from "./exchange.ts";
import { copyFields, droppedFromResponse, fieldValue } from "./head-fields.ts";
import { headerIds } from "./header-id.ts";
import type { HttpFault } from "./http-fault.ts";
import type { HttpLimits } from "./http-limits.ts";
import type { Http1Parser } from "./http1-parser.ts";
import { refusalOf } from "./refusal.ts";
import type { Refusal } from "./refusal.ts";
import type { TimerOwner, TimingWheel } from "./timing-wheel.ts";
import { WheelTimer } from "./timing-wheel.ts";

/** A body that is still incomplete after this flows on unheld: it is a stream, and holding it would starve its reader. */
const holdMs = 250;

/** What forwarding works with. */
export interface ForwardOptions {
  readonly clock: Clock;
  readonly wheel: TimingWheel;
  readonly limits: HttpLimits;
}

/** Whether another sidecar, and not our own application, is at the other end. */
export function isMeshHop(candidate: Candidate): boolean {
  return candidate.pool.target.sni !== "";
}

const timerKinds = { holdRequest: 0, holdResponse: 1 } as const;

/** What an attempt asks of the stage that made it: everything that is a decision. */
export interface AttemptOwner {
  readonly options: ForwardOptions;
  /** The body is too long, or too slow, to be held: from now on it flows, and there is one try. */
  streamRequest(x: Exchange): void;
  cancel(x: Exchange, reason: CancelReason): void;
  connectFailed(x: Exchange, kind: ConnectFailure, isTold: boolean): void;
  lost(x: Exchange, kind: LossKind, isTold: boolean, fault?: HttpFault): void;
  /** Nothing comes from where the request is. */
  silent(x: Exchange): void;
  /** The callee's sidecar answered for itself, in a frame that says so. */
  refused(x: Exchange, refusal: HopRefusal): void;
  /** Goes elsewhere with a response that is to be tried again, and says so; the head is then of no interest any more. */
  repeats(x: Exchange, status: number, refusal: Refusal | undefined): boolean;
  /** The head of the response that counts has come. */
  headCame(x: Exchange): void;
  /** The response has come whole. */
  answered(x: Exchange, outcome: Outcome): void;
  /** Ends the try that is under way, as `outcome`. */
  settle(x: Exchange, outcome: Outcome): void;
}

/** An exchange's side towards upstream connections: one for each client connection, for all its requests. */
export class Attempt implements ConnectionUser, TimerOwner {
  readonly #stage: AttemptOwner;
  readonly #x: Exchange;
  readonly #requestTimer: WheelTimer;
  readonly #responseTimer: WheelTimer;

  constructor(stage: AttemptOwner, x: Exchange) {
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

  onConnectFailure(kind: ConnectFailure, isTold: boolean): void {
    this.#stage.connectFailed(this.#x, kind, isTold);
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
      this.#stage.lost(x, "protocol", false);
      return;
    }
    const isMesh = x.candidate !== undefined && isMeshHop(x.candidate);
    const refusal = isMesh && status >= 400 ? refusalOf(fieldValue(parser, headerIds.atollReason)) : undefined;
    if (this.#stage.repeats(x, status, refusal)) return;
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

  onLost(kind: LossKind, isTold: boolean, fault?: HttpFault): void {
    this.#stage.options.wheel.cancel(this.#responseTimer);
    this.#stage.lost(this.#x, kind, isTold, fault);
  }

  onSilence(): void {
    this.#stage.silent(this.#x);
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
      this.#stage.lost(x, "protocol", false);
      return;
    }
    x.status = 101;
    x.responseHead = `${copyFields(parser, droppedFromResponse(x.candidate !== undefined && isMeshHop(x.candidate), false), parser.headStart)}connection: upgrade\r\nupgrade: ${parser.upgrade}\r\n`;
    x.upstreamMs = this.#stage.options.clock.monotonicMs() - x.upstreamStartMs;
    x.client.startTunnel(x, connection);
    this.#stage.settle(x, "success");
  }
}
