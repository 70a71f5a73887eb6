import type { Clock } from "#federation/runtime/clock.ts";
import type { Exchange, Stage, StageResult, TimeKeeper } from "./exchange.ts";
import { Continue, Reply } from "./exchange.ts";
import type { TimingWheel } from "./timing-wheel.ts";

/**
 * Keeps an exchange's limits in time. Which of them rules follows from how far the exchange is:
 *
 *   waiting for the response's head --head--> answered: silence, or the whole exchange's bound
 *      its own time, and one try's                ^
 *        ^                                        |
 *        +--body complete-- body streams: silence-+
 *
 * One wheel timer serves all of them. It is armed when a limit comes nearer; one that has moved away is seen when the
 * timer fires, so that bytes that flow cost no arming.
 */
export class DeadlineStage implements Stage, TimeKeeper {
  readonly name = "deadline";
  readonly #wheel: TimingWheel;
  readonly #clock: Clock;

  constructor(wheel: TimingWheel, clock: Clock) {
    this.#wheel = wheel;
    this.#clock = clock;
  }

  request(x: Exchange): StageResult {
    if (x.route === undefined) return Continue;
    const { requestMs, idleMs, streamMs } = x.route.policy.timeouts;
    // The route's own limit bounds what others ask for, however much that is.
    const asked = Math.min(x.hopLimitMs, x.callerLimitMs);
    x.limitAsked = asked < requestMs;
    x.limitMs = x.limitAsked ? asked : requestMs;
    // As long as a policy could be is the longest that another sidecar is believed.
    x.idleMs = Math.min(x.hopIdleMs, idleMs);
    x.streamEndsAtMs = streamMs === undefined ? Number.POSITIVE_INFINITY : x.startMs + streamMs;
    x.lastByteMs = x.startMs;
    x.deadlineAtMs = Math.min(x.startMs + x.limitMs, x.streamEndsAtMs);
    x.keeper = this;
    if (x.limitMs <= 0) {
      x.status = 504;
      x.flag = "UT";
      x.reason = "deadline_exceeded";
      return Reply;
    }
    this.#wheel.arm(x.deadline, x.startMs, x.deadlineAtMs - x.startMs);
    return Continue;
  }

  response(): void {
    // The head may be held still; what follows from it is seen when the timer fires.
  }

  end(x: Exchange): void {
    this.#wheel.cancel(x.deadline);
  }

  watch(x: Exchange, nowMs: number): void {
    const dueMs = dueAtMs(x, nowMs);
    if (dueMs === Number.POSITIVE_INFINITY) this.#wheel.cancel(x.deadline);
    else this.#wheel.arm(x.deadline, nowMs, Math.max(0, dueMs - nowMs));
  }

  onTimer(x: Exchange): void {
    if (!x.active) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= dueAtMs(x, nowMs)) this.#expire(x, nowMs);
    if (x.active && !x.deadline.armed) this.watch(x, nowMs);
  }

  #expire(x: Exchange, nowMs: number): void {
    if (nowMs >= x.streamEndsAtMs) this.#cancel(x, "timeout");
    else if (isFlowing(x)) this.#cancel(x, "silence");
    else if (nowMs >= x.deadlineAtMs) this.#cancel(x, "timeout");
    else {
      x.tryEndsAtMs = Number.POSITIVE_INFINITY;
      x.forwarder?.tryTimedOut(x);
    }
  }

  #cancel(x: Exchange, reason: "timeout" | "silence"): void {
    if (x.forwarder !== undefined) {
      x.forwarder.cancel(x, reason);
      return;
    }
    // It still waits in a stage, and nothing was begun that would have to be ended.
    x.status = 504;
    x.flag = "UT";
    x.reason = "request_timeout";
    x.client.reply(x);
  }
}

/** True while bodies flow, so that silence is the limit: the response has begun, or the request streams. */
function isFlowing(x: Exchange): boolean {
  return x.status !== 0 || (x.requestStreaming && !x.requestComplete);
}

function dueAtMs(x: Exchange, nowMs: number): number {
  if (!isFlowing(x)) return Math.min(x.deadlineAtMs, x.tryEndsAtMs);
  // A head that is held has only just come.
  const isHeld = x.status !== 0 && !x.responseStarted;
  return Math.min(x.streamEndsAtMs, (isHeld ? nowMs : x.lastByteMs) + x.idleMs);
}
