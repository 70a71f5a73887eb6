import { priorityClasses } from "#federation/model/priority-class.ts";
import { grainMsMin } from "./concurrency-limit.ts";
import { TicketList, ticketIdle, ticketWaiting } from "./ticket.ts";
import type { RefusalReason, Ticket } from "./ticket.ts";

/** Tickets that may wait at least, and at most, however large the limit is. */
export const queueLengthMin = 64;
export const queueLengthMax = 1_024;

/** So many times the limit may wait, however long the application takes. */
const roundsMin = 2;

/** A burst may take this share of its callers' time to be worked off, and no more than this. */
const burstRatio = 0.25;
const burstMsMax = 2_000;

/** A queue in which the oldest waits no longer than this share of a request's own time is no delay. */
const targetRatio = 0.5;
const targetMsMax = 100;
/** The delay must have been above target for this many targets without a break, and not less than CoDel's 100 ms … */
const intervalTargets = 10;
const intervalMsMin = 100;
/** … nor than this share of its callers' time, up to so much: who waits for seconds bears a busy moment, and an error ends his request. */
const standRatio = 1 / 15;
const standMsMax = 1_000;
/** Under overload nobody waits longer than this many targets … */
const overloadTargets = 3;
/** … or turns of a late loop, in which nothing could be decided. */
const overloadGrains = 4;

/** What a queue follows. */
export interface QueueTuning {
  /** 0 while unknown. */
  readonly serviceMs: number;
  readonly leastMs: number;
  readonly limit: number;
  /** Delays below this are the event loop's. */
  readonly grainMs: number;
}

const classCount = priorityClasses.length;

/**
 * The short queue before an application. While calm it serves in order. When the oldest has waited longer than the target all
 * through an interval, and a fifteenth of its caller's time, that is CoDel's standing queue, unless those who are here become
 * fewer so fast that all will be served within a quarter of that time: that is a burst, such as the users of a region that
 * died, and is judged anew each interval. Under overload it serves the newest first, whose callers have waited least, and lets nobody wait longer
 * than three targets, or four turns of a late loop. Higher classes go first; when it is full the lowest class leaves first,
 * and of that the oldest.
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
  #isServiceKnown = false;
  #targetMs = grainMsMin;
  #grainMs = grainMsMin;
  #leastMs = 0;
  #isOverloaded = false;
  /** When the oldest had last waited less than the target. */
  #calmMs = Number.NEGATIVE_INFINITY;
  /** Most that were here, in the application among them, since then until an interval had passed, and when. */
  #peak = 0;
  #peakMs = 0;
  /** When it was last judged whether the queue is being worked off. */
  #judgedMs = 0;
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

  /** Where nothing else happens, the queue must be looked at again after this. */
  get lookMs(): number {
    return Math.min(this.intervalMs, this.waitMsMax);
  }

  /** How long a ticket may wait now. */
  get waitMsMax(): number {
    return this.#isOverloaded ? Math.max(this.#targetMs * overloadTargets, this.#grainMs * overloadGrains) : Math.max(this.intervalMs, burstMsMax);
  }

  /** Follows the application: how long it takes, how long at least, and how many it takes at once; and the event loop: how coarsely it sees times. */
  tune({ serviceMs, leastMs, limit, grainMs }: QueueTuning): void {
    this.#isServiceKnown = serviceMs > 0;
    this.#targetMs = Math.min(targetMsMax, Math.max(grainMs, serviceMs * targetRatio));
    this.#grainMs = grainMs;
    this.#leastMs = leastMs;
    const rounds = Math.max(roundsMin, burstMsMax / Math.max(1, serviceMs));
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

  /** That there is a queue is our own doing, while fewer are let in to learn from it: it is judged from now on. */
  excuse(nowMs: number, inUse: number): void {
    if (this.#isOverloaded) return;
    this.#calmMs = nowMs;
    this.#judgedMs = nowMs;
    this.#peak = this.#length + inUse;
    this.#peakMs = nowMs;
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

  /** Takes out a ticket that must not wait any longer, while `inUse` are in the application; call until undefined. `reasonOf` says why. */
  expired(nowMs: number, inUse: number): Ticket | undefined {
    if (this.#length === 0) return undefined;
    const oldest = this.#oldest();
    if (oldest === undefined) return undefined;
    const waitedMs = nowMs - oldest.sinceMs;
    if (waitedMs < this.#targetMs) this.#calm(nowMs);
    else if (!this.#isOverloaded) this.#judge(nowMs, this.#length + inUse, oldest);
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

  /**
   * The delay stands. When it has for long enough it is a burst if those who are `present` have become so much fewer since they
   * were most that the queue will soon be gone, and overload otherwise.
   */
  #judge(nowMs: number, present: number, { sinceMs, deadlineMs }: Ticket): void {
    const isFirst = this.#judgedMs <= this.#calmMs;
    const callerMs = deadlineMs - sinceMs;
    if (nowMs - this.#judgedMs < (isFirst ? this.#standMs(callerMs) : this.intervalMs)) {
      if (!isFirst || present < this.#peak) return;
      this.#peak = present;
      this.#peakMs = nowMs;
      return;
    }
    this.#judgedMs = nowMs;
    const gone = this.#peak - present;
    const patienceMs = Math.min(burstMsMax, callerMs * burstRatio);
    this.#isOverloaded = gone <= 0 || (this.#length * (nowMs - this.#peakMs)) / gone > patienceMs;
  }

  /** How long a delay stands before it is judged, where callers wait for `callerMs`. */
  #standMs(callerMs: number): number {
    // Of an application that has said nothing yet it is not even known what a delay is.
    const [ratio, msMax] = this.#isServiceKnown ? [standRatio, standMsMax] : [burstRatio, burstMsMax];
    return Math.max(this.intervalMs, Math.min(msMax, callerMs * ratio));
  }

  /** The queue is short now; overload is over once nobody had to leave for an interval. */
  #calm(nowMs: number): void {
    this.#calmMs = nowMs;
    this.#judgedMs = nowMs;
    this.#peak = 0;
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
