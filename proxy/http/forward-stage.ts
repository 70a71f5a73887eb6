import { priorityClasses } from "#federation/model/priority-class.ts";
import { throttled } from "../upstream/chooser.ts";
import type { Candidate, Outcome } from "../upstream/chooser.ts";
import { connectOutcomes, evidenceOf } from "../upstream/outcome-evidence.ts";
import { upstreamNeeds } from "../upstream/upstream.ts";
import type { ConnectEnd, ConnectFailure, HopRefusal, LossKind } from "../upstream/upstream.ts";
import { Attempt, isMeshHop } from "./attempt.ts";
import type { AttemptOwner, ForwardOptions } from "./attempt.ts";
import { isBoundFault, upstreamFaultReason } from "./bound-words.ts";
import { Wait } from "./exchange.ts";
import type { CancelReason, Exchange, Forwarder, Stage, StageResult } from "./exchange.ts";
import type { HttpFault } from "./http-fault.ts";
import { refusalOf } from "./refusal.ts";
import type { Refusal } from "./refusal.ts";
import { responseFlags } from "./response-flag.ts";
import type { ResponseFlag } from "./response-flag.ts";

/**
 * The last stage: choose a place and an endpoint, take a connection, write, and hand the response back. A retry is a
 * transition back to choosing:
 *
 *   choosing -> connecting -> sent -> answered
 *      ^____________|__________|   connect failure (any request), reset (idempotent): once free, then by budget
 *      ^_______________________|   retriable status (idempotent): by budget
 */
export class ForwardStage implements Stage, Forwarder, AttemptOwner {
  readonly name = "forward";
  /** Requests that were refused here because their target would have refused them, by class in the order of `priorityClasses`. */
  readonly throttled = new Float64Array(priorityClasses.length);
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
    if (x.requestComplete) this.#tryNext(x);
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
      this.#tryNext(x);
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
    this.#letGo(x, "timeout", true);
    this.#tryNext(x);
  }

  streamRequest(x: Exchange): void {
    if (x.requestStreaming || x.requestComplete) return;
    x.requestStreaming = true;
    x.lastByteMs = this.#options.clock.monotonicMs();
    x.keeper?.watch(x, x.lastByteMs);
    this.#tryNext(x);
  }

  /** Chooses a target and asks its pool for a connection. */
  #tryNext(x: Exchange): void {
    const { route } = x;
    if (route === undefined) return;
    const before = x.tries.last;
    const candidate = route.chooser.choose(x.tries, x.priority);
    if (candidate === undefined) this.fail(x, 503, "UH", "no_healthy_upstream");
    else if (candidate === throttled) {
      this.throttled[x.priority] = (this.throttled[x.priority] ?? 0) + 1;
      this.fail(x, 503, "UO", "over_limit");
    } else this.#take(x, candidate, before);
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
   * nearly no answer of this route comes later: an application that has fallen silent holds nobody up for longer. What is
   * usual says nothing of later tries: they go further away, and what is no further is where things are not as usual.
   */
  #boundTry(x: Exchange): void {
    const { route } = x;
    const nowMs = this.#options.clock.monotonicMs();
    x.tryStartMs = nowMs;
    if (route === undefined || !x.idempotent) return;
    const usualMs = route.chooser.hasOthers && x.attempt === 1 ? route.latency?.tryBoundMs(nowMs) : undefined;
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
  connectFailed(x: Exchange, kind: ConnectFailure, isTold: boolean): void {
    const failed = x.candidate;
    this.#letGo(x, isTold ? "cancelled" : connectOutcomes[kind]);
    if (kind === "overflow") {
      this.fail(x, 503, "UO", "too_many_waiting");
      return;
    }
    if (this.#mayTryAgain(x, true)) {
      this.#tryNext(x);
      return;
    }
    // Our own application has not seen the request: the caller's sidecar may repeat it elsewhere.
    const reason = failed !== undefined && !isMeshHop(failed) ? "app_unreachable" : unreachableReasons[kind];
    this.fail(x, 503, x.attempt > 1 && failed !== undefined && x.budgetTries > 0 ? "URX" : "UF", reason);
  }

  /** The connection ended before the response was complete. */
  lost(x: Exchange, kind: LossKind, isTold: boolean, fault?: HttpFault): void {
    // A kept connection that its server closed while we wrote: no sign of trouble, and a new one will do.
    const wasStale = kind === "closed" && x.status === 0 && x.upstream?.mayBeStale === true;
    this.#letGo(x, wasStale || isTold || kind === "untaken" ? "cancelled" : isBoundFault(fault) ? "refused" : "reset");
    if (x.responseStarted) {
      x.flag = kind === "protocol" ? "UPE" : "UC";
      x.client.abortResponse(x);
      return;
    }
    forgetResponse(x);
    // The callee's side has not looked at it, so that even what must not be done twice goes elsewhere.
    if (kind === "untaken" && this.#mayTryAgain(x, true)) {
      this.#tryNext(x);
      return;
    }
    if (kind !== "protocol" && x.idempotent && !x.requestBodySent && (this.#mayTryAgain(x, true) || this.#mayReplace(x, wasStale))) {
      if (wasStale) x.wantsFresh = true;
      this.#tryNext(x);
      return;
    }
    if (kind === "protocol") this.fail(x, 502, "UPE", fault === undefined ? "upstream_protocol_error" : upstreamFaultReason(fault, this.options.limits));
    else this.fail(x, 503, x.budgetTries > 0 ? "URX" : "UC", "upstream_reset");
  }

  /**
   * Nothing comes from where it is. What may be repeated goes where something does; the rest stays, and so does everything where
   * nobody can be reached: what is late is better than what is thrown away. No evidence: the pool itself knows, and for how long.
   */
  silent(x: Exchange): void {
    if (!x.idempotent || x.responseStarted || x.route?.chooser.hasReachable !== true || !this.#mayTryAgain(x, true)) return;
    (x.user as Attempt).release();
    this.#letGo(x, "cancelled", true);
    forgetResponse(x);
    this.#tryNext(x);
  }

  refused(x: Exchange, refusal: HopRefusal): void {
    const known = refusalOf(refusal.reason);
    const flag = known?.flag ?? responseFlags[refusal.flag] ?? "-";
    this.#letGo(x, known?.outcome ?? (refusal.status >= 500 ? "gatewayError" : "refused"));
    if (known === undefined ? this.#mayRepeat(x, refusal.status, flag) : !refusal.seenByApp && this.#takesRepeat(x, known)) {
      this.#tryNext(x);
      return;
    }
    if ((known?.outcome === "overloaded" || known?.outcome === "busy") && !refusal.seenByApp && this.#trySpill(x)) return;
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
    return this.#takesStatusRetry(x, status);
  }

  repeats(x: Exchange, status: number, refusal: Refusal | undefined): boolean {
    const wasRetry = x.budgetTries > 0;
    if (!(refusal === undefined ? this.#takesStatusRetry(x, status) : this.#takesRepeat(x, refusal))) return false;
    if (wasRetry && refusal === undefined) this.#recordVain(x);
    x.upstream?.discard(false);
    this.settle(x, refusal?.outcome ?? "gatewayError");
    this.#tryNext(x);
    return true;
  }

  /** True when this status is to be tried again; the budget is then charged. */
  #takesStatusRetry(x: Exchange, status: number): boolean {
    const { route } = x;
    if (route === undefined || !x.idempotent || x.requestBodySent || !route.policy.retries.statuses.includes(status)) return false;
    return this.#mayTryAgain(x, false);
  }

  /** True when a request that a callee's sidecar refused is to be tried elsewhere: its application has not seen it. */
  #takesRepeat(x: Exchange, refusal: Refusal): boolean {
    return refusal.elsewhere && this.#mayTryAgain(x, true);
  }

  headCame(x: Exchange): void {
    const latency = x.route?.latency;
    if (latency === undefined || x.requestStreaming) return;
    const nowMs = this.#options.clock.monotonicMs();
    latency.record(nowMs - x.tryStartMs, nowMs);
  }

  answered(x: Exchange, outcome: Outcome): void {
    if (outcome === "success" && x.route !== undefined) {
      const nowMs = this.#options.clock.monotonicMs();
      x.route.budget.recordAnswered(nowMs);
    }
    if (outcome === "gatewayError" && x.budgetTries > 0 && x.refusal === undefined) this.#recordVain(x);
    this.settle(x, outcome);
  }

  /** The application that a retry came to has failed, too. */
  #recordVain(x: Exchange): void {
    x.route?.budget.recordVain(this.#options.clock.monotonicMs());
  }

  settle(x: Exchange, outcome: Outcome): void {
    const { candidate } = x;
    if (candidate === undefined) return;
    x.candidate = undefined;
    x.upstream = undefined;
    const { wheel, clock } = this.#options;
    x.route?.chooser.report(candidate, outcome === "success" ? outcome : evidenceOf(outcome, wheel.stall, { sinceMs: x.startMs, nowMs: clock.monotonicMs() }));
  }

  #letGo(x: Exchange, outcome: Outcome, movesOn = false): void {
    const { candidate, upstream } = x;
    if (candidate === undefined) return;
    if (upstream === undefined) candidate.pool.forget(x.user as Attempt);
    // Under overload callers give up in numbers. Closing a TLS connection for each would answer load with handshakes, so
    // the unwanted response is read and the connection kept; the callee's side knows by its deadline that nobody waits.
    // The plain hop to the application costs no handshake, and its end is the only way to tell the application to stop;
    // so is the end of a connection whose response flows already.
    else if ((outcome === "timeout" || outcome === "cancelled") && x.status === 0 && isMeshHop(candidate)) upstream.discard(movesOn);
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

/** Of a try that came to nothing, before another. */
function forgetResponse(x: Exchange): void {
  x.responseBody = "";
  x.responseHead = "";
  x.responseHeld = false;
  x.status = 0;
  x.flag = "-";
  x.reason = "";
  x.refusal = undefined;
}

const unreachableReasons = { own: "connect_impossible", timeout: "connect_timeout", connect: "connect_failed" } as const satisfies Record<ConnectEnd, string>;
