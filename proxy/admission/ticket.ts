/** Where a request is between its arrival and its end, as admission sees it. */
export type TicketState = 0 | 1 | 2 | 3;
/** Neither waits nor works: before admission, after its end, or refused. */
export const ticketIdle: TicketState = 0;
/** In the queue. */
export const ticketWaiting: TicketState = 1;
/** In the application, and holds one of the slots of the limit. */
export const ticketWorking: TicketState = 2;
/** Its response head came, or it has taken so long that it holds no slot any more: a stream, a long poll. */
export const ticketStreaming: TicketState = 3;

/** Why admission refuses; the wire's words. */
export const refusalReasons = ["over_limit", "queue_timeout", "deadline_exceeded"] as const;
export type RefusalReason = (typeof refusalReasons)[number];

/** Who is told what becomes of a ticket that waits. Exactly one of both, once, unless the ticket leaves by itself. */
export interface TicketOwner {
  onAdmitted(): void;
  onRefused(reason: RefusalReason): void;
}

/**
 * One request's place in admission. Whoever owns the request owns its ticket, too, and uses it again for the next:
 * waiting and working chain tickets through their own fields, so that no request allocates.
 */
export class Ticket {
  readonly owner: TicketOwner;
  state: TicketState = ticketIdle;
  /** Index in `priorityClasses`. */
  priority = 1;
  /** Monotonic ms after which nobody waits for the answer; +Infinity: none. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** Monotonic ms since when it is in its state. */
  sinceMs = 0;
  /** Requests that were in use when it was admitted, itself among them. */
  among = 0;
  previous: Ticket | undefined = undefined;
  next: Ticket | undefined = undefined;

  constructor(owner: TicketOwner) {
    this.owner = owner;
  }
}

/** Tickets in the order in which they came; a ticket is in one list at most. All operations are O(1). */
export class TicketList {
  first: Ticket | undefined = undefined;
  last: Ticket | undefined = undefined;

  append(ticket: Ticket): void {
    const { last } = this;
    ticket.previous = last;
    ticket.next = undefined;
    if (last === undefined) this.first = ticket;
    else last.next = ticket;
    this.last = ticket;
  }

  remove(ticket: Ticket): void {
    const { previous, next } = ticket;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.last = previous;
    else next.previous = previous;
    ticket.previous = undefined;
    ticket.next = undefined;
  }
}
