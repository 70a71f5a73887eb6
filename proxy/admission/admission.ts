import { priorityClasses } from "#federation/model/priority-class.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import { ConcurrencyLimit, grainMsMin } from "./concurrency-limit.ts";
import type { LimitBounds } from "./concurrency-limit.ts";
import type { LoadReport } from "./load-report.ts";
import { RecentRates } from "#federation/runtime/recent-rates.ts";
import { refusalReasons, Ticket, ticketIdle, TicketList, ticketStreaming, ticketWaiting, ticketWorking } from "./ticket.ts";
import type { RefusalReason } from "./ticket.ts";

/** What admission says to a request that arrives. */
export type Admittance = 0 | 1 | 2;
export const Admitted: Admittance = 0;
/** Its owner will be told. */
export const Waits: Admittance = 1;
/** `lastReason` says why. */
export const Refused: Admittance = 2;

/** How a request ended: answered or broken, or its caller has left and asks nobody, or somebody else. */
export type Departure = "over" | "givenUp" | "movedOn";

/** Responses whose body still flows, and requests that have outlasted every patience: they hold no slot, but memory. */
export const streamsMax = 1_024;

/** A request that has been in the application this long, and many times as long as others, holds no slot any more. */
const patienceMsMin = 1_000;
const patienceRatio = 16;

/** A request that was given up is believed to be over in the application after this many usual times. */
const ghostRatio = 2;

/** Weight of the newest tick in the loop's lateness … */
const lateWeight = 0.2;
/** … which counts no more than this, for what is let in makes turns longer, too. Ms. */
const lateMsMax = 10;
/** A loop that is late by so much has turns of so many times that. */
const turnsPerLateness = 1.5;

/** Weight of the newest wait in the reported delay. */
const delayWeight = 0.1;

/**
 * Admission to one application port: the limit, the queue before it, and who is where.
 *
 *   enter ─> working ─ head ─> streaming ─ leave ─> idle
 *     │         ^  └── outlasted patience ──^
 *     └> waiting┘
 *          └──> refused
 *
 * A slot is held until the response's head: what streams afterwards waits for its reader, not for the application.
 * Pure: times are passed in, nothing is allocated for a request.
 */
export class Admission {
  readonly limit: ConcurrencyLimit;
  readonly queue = new AdmissionQueue();
  /** Refused requests: class × reasons + reason, in the orders of `priorityClasses` and `refusalReasons`. */
  readonly refused = new Float64Array(priorityClasses.length * refusalReasons.length);
  /** Admitted requests by class. */
  readonly admitted = new Float64Array(priorityClasses.length);
  readonly rates = new RecentRates();
  lastReason: RefusalReason = "over_limit";
  readonly #working = new TicketList();
  readonly #report = { queueDelayMs: 0, utilizationRatio: 0, headroom: 0 };
  #inUse = 0;
  #streams = 0;
  #delayMs = 0;
  #isPumping = false;
  /** Of the event loop, smoothed. */
  #lateMs = 0;
  readonly #ghosts = new GhostRing();
  /** Requests admitted before this are no samples. */
  #blindUntilMs = Number.NEGATIVE_INFINITY;

  constructor(bounds?: LimitBounds) {
    this.limit = new ConcurrencyLimit(bounds);
  }

  /** Slots in use, those of requests among them that were given up while the application works on. */
  get inUse(): number {
    return this.#inUse;
  }

  get streams(): number {
    return this.#streams;
  }

  /** Smoothed wait for admission, ms. */
  get queueDelayMs(): number {
    return this.#delayMs;
  }

  /** When a refused caller may find things changed: sooner, the verdict cannot be another. */
  get retryAfterMs(): number {
    return Math.ceil(this.queue.intervalMs);
  }

  /** A request has arrived. `ticket` has its class and deadline. */
  enter(ticket: Ticket, nowMs: number): Admittance {
    this.rates.asked(nowMs);
    if (this.queue.length === 0 && !this.#isFull && this.#streams < streamsMax) {
      if (ticket.deadlineMs <= nowMs) return this.#refuse(ticket, "deadline_exceeded");
      this.#delayMs -= delayWeight * this.#delayMs;
      this.#admit(ticket, nowMs);
      return Admitted;
    }
    return this.#enqueue(ticket, nowMs);
  }

  #enqueue(ticket: Ticket, nowMs: number): Admittance {
    this.refresh(nowMs);
    if (ticket.deadlineMs <= nowMs) return this.#refuse(ticket, "deadline_exceeded");
    if (this.#streams >= streamsMax) return this.#refuse(ticket, "over_limit");
    if (this.queue.length === 0 && !this.#isFull) {
      this.#admit(ticket, nowMs);
      return Admitted;
    }
    const evicted = this.queue.offer(ticket, nowMs);
    if (evicted === ticket) return this.#refuse(ticket, "over_limit");
    if (evicted !== undefined) {
      this.#refuse(evicted, "over_limit");
      evicted.owner.onRefused("over_limit");
    }
    return Waits;
  }

  /** The head of the response has come. `isSample` when the time says how fast the application is. */
  head(ticket: Ticket, nowMs: number, isSample: boolean): void {
    if (ticket.state === ticketIdle || ticket.state === ticketWaiting) return;
    const isWorking = ticket.state === ticketWorking;
    if (isSample) this.#sample(nowMs, ticket, true);
    this.#inUse -= this.#ghosts.forgetBefore(ticket.sinceMs);
    if (!isWorking) return;
    this.#free(ticket);
    ticket.state = ticketStreaming;
    this.#streams++;
    this.#pump(nowMs);
  }

  /**
   * The request is over, however it ended. One that was given up keeps its slot as a ghost, since few applications stop
   * when a caller leaves, until one that was admitted later is answered. After more than nearly every request takes it
   * also counts as if it had been answered now: otherwise an application too slow for all its callers would show no sample, or
   * few, where "usual" is already the time after which they leave. A caller that asks elsewhere, because he is used to quicker
   * answers, says nothing of that.
   */
  leave(ticket: Ticket, nowMs: number, departure: Departure): void {
    const { state } = ticket;
    if (state === ticketIdle) return;
    if (state === ticketWaiting) {
      this.queue.remove(ticket);
      if (nowMs >= ticket.deadlineMs) this.#refuse(ticket, "deadline_exceeded");
      return;
    }
    if (state === ticketStreaming) {
      this.endStream(ticket);
      return;
    }
    if (departure === "movedOn") this.limit.miss();
    if (departure === "givenUp" && nowMs - ticket.sinceMs > this.limit.leastMs) this.#sample(nowMs, ticket, false);
    this.#free(ticket);
    if (departure !== "over") this.#inUse += this.#ghosts.add(ticket.sinceMs);
    ticket.state = ticketIdle;
    this.#pump(nowMs);
  }

  /** A stream has ended. */
  endStream(ticket: Ticket): void {
    ticket.state = ticketIdle;
    this.#streams--;
  }

  /** Refuses who has waited too long, lets in who fits. Called with every event; a timer calls it where none comes. */
  refresh(nowMs: number): void {
    if (this.#isFull) {
      const oldest = this.#working.first;
      if (oldest !== undefined && nowMs - oldest.sinceMs > this.#patienceMs()) this.#outlast(oldest);
      this.#forgetGhosts(nowMs);
    }
    this.#pump(nowMs);
  }

  /**
   * This process's event loop came `lateMs` late: what comes together in one of its turns is no queue. Ghosts go with time, too, where no
   * request comes to find them: callers who are told that there is no room send none.
   */
  onTick(lateMs: number, nowMs: number): void {
    if (this.#isFull) this.#forgetGhosts(nowMs);
    this.#lateMs += lateWeight * (Math.min(lateMsMax, lateMs) - this.#lateMs);
    this.limit.setGrain(grainMsMin + turnsPerLateness * this.#lateMs);
    this.#tune();
  }

  /** This process slept until now: what the requests under way took says nothing of the application. */
  onStall(nowMs: number): void {
    this.#blindUntilMs = nowMs;
    this.limit.discard(nowMs);
  }

  /** The same object at each call. */
  report(): LoadReport {
    const { limit } = this.limit;
    this.#report.queueDelayMs = this.#delayMs;
    this.#report.utilizationRatio = Math.min(1, this.#inUse / Math.max(1, Math.floor(limit)));
    this.#report.headroom = this.queue.length > 0 ? 0 : Math.max(0, Math.floor(limit) - this.#inUse);
    return this.#report;
  }

  get #isFull(): boolean {
    return this.#inUse + 1 > this.limit.limit;
  }

  #forgetGhosts(nowMs: number): void {
    const { latencyMs } = this.limit;
    this.#inUse -= this.#ghosts.forgetBefore(nowMs - (latencyMs > 0 ? latencyMs * ghostRatio : this.#patienceMs()));
  }

  #patienceMs(): number {
    return Math.max(patienceMsMin, patienceRatio * Math.max(this.limit.baselineMs, this.limit.latencyMs));
  }

  #outlast(ticket: Ticket): void {
    this.#free(ticket);
    ticket.state = ticketStreaming;
    this.#streams++;
  }

  #sample(nowMs: number, { sinceMs, among }: Ticket, isAnswered: boolean): void {
    if (sinceMs < this.#blindUntilMs) return;
    if (this.limit.sample(nowMs, nowMs - sinceMs, this.#inUse, among, isAnswered)) this.#tune();
  }

  #tune(): void {
    const { baselineMs, leastMs, limit, grainMs } = this.limit;
    this.queue.tune({ serviceMs: baselineMs, leastMs, limit, grainMs });
  }

  #admit(ticket: Ticket, nowMs: number): void {
    ticket.state = ticketWorking;
    ticket.sinceMs = nowMs;
    this.#working.append(ticket);
    this.#inUse++;
    ticket.among = this.#inUse;
    this.rates.admitted();
    this.admitted[ticket.priority] = (this.admitted[ticket.priority] ?? 0) + 1;
  }

  #free(ticket: Ticket): void {
    this.#working.remove(ticket);
    this.#inUse--;
  }

  #refuse(ticket: Ticket, reason: RefusalReason): Admittance {
    ticket.state = ticketIdle;
    this.lastReason = reason;
    const at = ticket.priority * refusalReasons.length + refusalReasons.indexOf(reason);
    this.refused[at] = (this.refused[at] ?? 0) + 1;
    return Refused;
  }

  /** One loop at a time: what an owner does when it hears may free the next slot, and must not nest. */
  #pump(nowMs: number): void {
    if (this.#isPumping || this.queue.length === 0) return;
    this.#isPumping = true;
    if (this.limit.probing) this.queue.excuse(nowMs, this.#inUse);
    for (let late = this.queue.expired(nowMs, this.#inUse); late !== undefined; late = this.queue.expired(nowMs, this.#inUse)) {
      const reason = this.queue.reasonOf(late, nowMs);
      this.#wait(nowMs - late.sinceMs);
      this.#refuse(late, reason);
      late.owner.onRefused(reason);
    }
    while (!this.#isFull) {
      const ticket = this.queue.take();
      if (ticket === undefined) break;
      this.#wait(nowMs - ticket.sinceMs);
      this.#admit(ticket, nowMs);
      ticket.owner.onAdmitted();
    }
    this.#isPumping = false;
  }

  #wait(waitedMs: number): void {
    this.#delayMs += delayWeight * (waitedMs - this.#delayMs);
  }
}

/** Ghosts held at once; further ones hold no slot. */
const ghostsMax = 1_024;

/** When requests were admitted that were given up since; in the order in which they were given up. */
class GhostRing {
  readonly #admittedMs = new Float64Array(ghostsMax);
  #first = 0;
  #length = 0;

  /** The number added: 0 when there is no room. */
  add(admittedMs: number): number {
    if (this.#length === ghostsMax) return 0;
    this.#admittedMs[(this.#first + this.#length) % ghostsMax] = admittedMs;
    this.#length++;
    return 1;
  }

  /** Forgets those at the front that were admitted before `ms`; their number. */
  forgetBefore(ms: number): number {
    let forgotten = 0;
    while (this.#length > 0 && (this.#admittedMs[this.#first] ?? 0) < ms) {
      this.#first = (this.#first + 1) % ghostsMax;
      this.#length--;
      forgotten++;
    }
    return forgotten;
  }
}
