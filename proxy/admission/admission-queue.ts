import { priorityClasses } from "#federation/model/priority-class.ts";
import { grainMsMin } from "./concurrency-limit.ts";
import { TicketList, ticketIdle, ticketWaiting } from "./ticket.ts";
import type { RefusalReason, Ticket } from "./ticket.ts";

/** Tickets that may wait at least, and at most, however large the limit is. */
export const queueLengthMin = 64;
export const queueLengthMax = 1_024;

/** So many times the limit may wait, however long the application takes. */
const roundsMin = 2;

/** A queue that no oldest ticket waits longer in than this share of a request's own time is a burst, and no overload. */
const targetRatio = 0.5;
const targetMsMax = 100;
/** The delay must have been above target for this many targets without a break, and not less than CoDel's 100 ms. */
const intervalTargets = 10;
const intervalMsMin = 100;
/** Under overload nobody waits longer than this many targets … */
const overloadTargets = 3;
/** … or turns of a late loop, in which nothing could be decided. */
const overloadGrains = 4;

/** What a queue follows. */
export interface QueueTuning {
  readonly serviceMs: number;
  readonly leastMs: number;
  readonly limit: number;
  /** Delays below this are the event loop's. */
  readonly grainMs: number;
}

const classCount = priorityClasses.length;

/**
 * The short queue before an application. While calm it serves in order and lets a burst wait for an interval. When the
 * oldest has waited longer than the target all through an interval, that is CoDel's standing queue: it serves the
 * newest first, whose callers have waited least, and lets nobody wait longer than three targets, or four turns of a late
 * loop. Higher classes go first; when it is full the lowest class leaves first, and of that the oldest.
 *
 * Pure: times are passed in; no allocation. O(1), but for the search for missed deadlines when the soonest is near.
 * @see https://datatracker.ietf.org/doc/html/rfc8289 for the interval and the target
 * @see https://queue.acm.org/detail.cfm?id=2839461 for last in, first out under overload
 */
export class AdmissionQueue {
  readonly #lists: readonly TicketList[] = Array.from({ length: classCount }, () => new TicketList());
  #length = 0;
  /** While nothing is known of the application, time alone bounds the queue. */
  #lengthMax = queueLengthMax;
  #targetMs = grainMsMin;
  #grainMs = grainMsMin;
  #leastMs = 0;
  #isOverloaded = false;
  /** When the oldest had last waited less than the target. */
  #calmMs = Number.NEGATIVE_INFINITY;
  /** When a ticket last had to leave. */
  #shedMs = Number.NEGATIVE_INFINITY;
  /** No deadline in the queue is sooner than this. */
  #soonestMs = Number.POSITIVE_INFINITY;

  get length(): number {
    return this.#length;
  }

  get lengthMax(): number {
    return this.#lengthMax;
  }

  /** True while delay has stood above the target: newest first, and short patience. */
  get isOverloaded(): boolean {
    return this.#isOverloaded;
  }

  get targetMs(): number {
    return this.#targetMs;
  }

  get intervalMs(): number {
    return Math.max(intervalMsMin, this.#targetMs * intervalTargets);
  }

  /** How long a ticket may wait now. */
  get waitMsMax(): number {
    return this.#isOverloaded ? Math.max(this.#targetMs * overloadTargets, this.#grainMs * overloadGrains) : this.intervalMs;
  }

  /** Follows the application: how long it takes, how long at least, and how many it takes at once; and the event loop: how coarsely it sees times. */
  tune({ serviceMs, leastMs, limit, grainMs }: QueueTuning): void {
    this.#targetMs = Math.min(targetMsMax, Math.max(grainMs, serviceMs * targetRatio));
    this.#grainMs = grainMs;
    this.#leastMs = leastMs;
    // What it serves in a short interval: a loop that is late brings the requests of a whole turn at once.
    const rounds = Math.max(roundsMin, intervalMsMin / Math.max(1, serviceMs));
    this.#lengthMax = Math.min(queueLengthMax, Math.max(queueLengthMin, Math.ceil(limit * rounds)));
  }

  /** Puts a ticket in, or returns the one that must be refused for want of room, which may be itself. */
  offer(ticket: Ticket, nowMs: number): Ticket | undefined {
    let evicted: Ticket | undefined;
    if (this.#length >= this.#lengthMax) {
      evicted = this.#victimFor(ticket);
      this.#shedMs = nowMs;
      if (evicted === ticket) return ticket;
      this.remove(evicted);
    }
    if (this.#length === 0) this.#calm(nowMs);
    ticket.state = ticketWaiting;
    ticket.sinceMs = nowMs;
    this.#lists[ticket.priority]?.append(ticket);
    this.#length++;
    if (ticket.deadlineMs < this.#soonestMs) this.#soonestMs = ticket.deadlineMs;
    return evicted;
  }

  /** The oldest of the lowest class; among equals under calm the newcomer, who has waited least. */
  #victimFor(ticket: Ticket): Ticket {
    for (let at = classCount - 1; at > ticket.priority; at--) {
      const lower = this.#lists[at]?.first;
      if (lower !== undefined) return lower;
    }
    if (!this.#isOverloaded) return ticket;
    return this.#lists[ticket.priority]?.first ?? ticket;
  }

  /** Takes out the ticket whose turn it is. Ask `expired` first. */
  take(): Ticket | undefined {
    for (const list of this.#lists) {
      const ticket = this.#isOverloaded ? list.last : list.first;
      if (ticket === undefined) continue;
      this.remove(ticket);
      return ticket;
    }
    return undefined;
  }

  /** Takes out a ticket that must not wait any longer; call until undefined. `reasonOf` says why. */
  expired(nowMs: number): Ticket | undefined {
    if (this.#length === 0) return undefined;
    const oldest = this.#oldest();
    if (oldest === undefined) return undefined;
    const waitedMs = nowMs - oldest.sinceMs;
    if (waitedMs < this.#targetMs) this.#calm(nowMs);
    else if (nowMs - this.#calmMs >= this.intervalMs) this.#isOverloaded = true;
    if (waitedMs > this.waitMsMax) {
      this.#shedMs = nowMs;
      this.remove(oldest);
      return oldest;
    }
    return nowMs + this.#leastMs > this.#soonestMs ? this.#hopeless(nowMs) : undefined;
  }

  /** Why `expired` took a ticket out. */
  reasonOf(ticket: Ticket, nowMs: number): RefusalReason {
    return nowMs + this.#leastMs > ticket.deadlineMs ? "deadline_exceeded" : "queue_timeout";
  }

  /** Takes out a ticket wherever it stands; its caller left, or it goes on. */
  remove(ticket: Ticket): void {
    this.#lists[ticket.priority]?.remove(ticket);
    ticket.state = ticketIdle;
    this.#length--;
    if (this.#length === 0) this.#soonestMs = Number.POSITIVE_INFINITY;
  }

  /** The queue is short now; overload is over once nobody had to leave for an interval. */
  #calm(nowMs: number): void {
    this.#calmMs = nowMs;
    if (nowMs - this.#shedMs >= this.intervalMs) this.#isOverloaded = false;
  }

  #oldest(): Ticket | undefined {
    let oldest: Ticket | undefined;
    for (const { first } of this.#lists) {
      if (first !== undefined && (oldest === undefined || first.sinceMs < oldest.sinceMs)) oldest = first;
    }
    return oldest;
  }

  /** One whose deadline is over before the application can have answered, and how soon the next may be. */
  #hopeless(nowMs: number): Ticket | undefined {
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const list of this.#lists) {
      for (let ticket = list.first; ticket !== undefined; ticket = ticket.next) {
        if (nowMs + this.#leastMs > ticket.deadlineMs) {
          this.remove(ticket);
          return ticket;
        }
        if (ticket.deadlineMs < soonestMs) soonestMs = ticket.deadlineMs;
      }
    }
    this.#soonestMs = soonestMs;
    return undefined;
  }
}
