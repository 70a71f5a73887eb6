import type { Clock } from "#federation/runtime/clock.ts";
import { Continue, Reply, Wait } from "../http/exchange.ts";
import type { Exchange, Stage, StageResult } from "../http/exchange.ts";
import type { TimerOwner, TimingWheel } from "../http/timing-wheel.ts";
import { WheelTimer } from "../http/timing-wheel.ts";
import { Admitted, Refused } from "./admission.ts";
import type { Admission, Departure } from "./admission.ts";
import { Ticket, ticketIdle, ticketStreaming, ticketWaiting } from "./ticket.ts";
import type { RefusalReason, TicketOwner } from "./ticket.ts";

/**
 * Asks the application's admission before a request is forwarded; routes without one admit all. What waits stays here
 * with its body, as far as that has come, and goes on in whatever event frees its slot.
 */
export class AdmissionStage implements Stage {
  readonly name = "admission";
  readonly clock: Clock;
  readonly wheel: TimingWheel;

  constructor(clock: Clock, wheel: TimingWheel) {
    this.clock = clock;
    this.wheel = wheel;
  }

  request(x: Exchange): StageResult {
    const admission = x.route?.admission;
    if (admission === undefined) return Continue;
    const ticket = (x.ticket ??= new Holder(this, x).ticket);
    ticket.priority = x.priority;
    ticket.deadlineMs = x.deadlineAtMs;
    const said = admission.enter(ticket, x.startMs);
    if (said === Admitted) return Continue;
    if (said === Refused) {
      setRefusal(x, admission, admission.lastReason);
      return Reply;
    }
    (ticket.owner as Holder).wait(admission, x.startMs);
    return Wait;
  }

  response(x: Exchange): void {
    const admission = x.route?.admission;
    const ticket = x.ticket;
    if (admission === undefined || ticket === undefined || ticket.state === ticketIdle) return;
    // Only the application's own answer says how long it took; its failures may be quick or slow for any reason.
    if (x.flag === "-") admission.head(ticket, this.clock.monotonicMs(), x.status < 500);
  }

  end(x: Exchange): void {
    const admission = x.route?.admission;
    const ticket = x.ticket;
    if (admission === undefined || ticket === undefined || ticket.state === ticketIdle) return;
    if (ticket.state === ticketStreaming) {
      admission.endStream(ticket);
      return;
    }
    if (ticket.state === ticketWaiting) (ticket.owner as Holder).stopWaiting();
    admission.leave(ticket, this.clock.monotonicMs(), departureOf(x));
  }
}

function departureOf({ flag, callerMovedOn }: Exchange): Departure {
  if (callerMovedOn) return "movedOn";
  return flag === "DC" || flag === "UT" ? "givenUp" : "over";
}

function setRefusal(x: Exchange, admission: Admission, reason: RefusalReason): void {
  const isLate = reason === "deadline_exceeded";
  x.status = isLate ? 504 : 503;
  x.flag = isLate ? "UT" : "UO";
  x.reason = reason;
  x.retryAfterMs = isLate ? 0 : admission.retryAfterMs;
}

/** An exchange's side towards admission: one for each client connection or stream, for all its requests. */
class Holder implements TicketOwner, TimerOwner {
  readonly ticket: Ticket;
  readonly #stage: AdmissionStage;
  readonly #x: Exchange;
  readonly #timer: WheelTimer;
  #admission: Admission | undefined = undefined;

  constructor(stage: AdmissionStage, x: Exchange) {
    this.#stage = stage;
    this.#x = x;
    this.ticket = new Ticket(this);
    this.#timer = new WheelTimer(this, 0);
  }

  /** Events of other requests move the queue; the timer does where none come. */
  wait(admission: Admission, nowMs: number): void {
    this.#admission = admission;
    this.#stage.wheel.arm(this.#timer, nowMs, admission.queue.lookMs);
  }

  stopWaiting(): void {
    this.#stage.wheel.cancel(this.#timer);
  }

  onAdmitted(): void {
    this.stopWaiting();
    this.#x.client.resume(this.#x);
  }

  onRefused(reason: RefusalReason): void {
    this.stopWaiting();
    if (this.#admission === undefined) return;
    setRefusal(this.#x, this.#admission, reason);
    this.#x.client.reply(this.#x);
  }

  onTimer(): void {
    const admission = this.#admission;
    if (admission === undefined) return;
    const nowMs = this.#stage.clock.monotonicMs();
    admission.refresh(nowMs);
    if (this.ticket.state === ticketWaiting) this.wait(admission, nowMs);
  }
}
