import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdmissionQueue } from "./admission-queue.ts";
import { Ticket } from "./ticket.ts";

const owner = { onAdmitted() {}, onRefused() {} };

function ticketOf(priority = 1, deadlineMs = Number.POSITIVE_INFINITY): Ticket {
  const ticket = new Ticket(owner);
  ticket.priority = priority;
  ticket.deadlineMs = deadlineMs;
  return ticket;
}

/** A queue for requests of 10 ms: target 5 ms, interval 100 ms. */
function createQueue(limit = 8): AdmissionQueue {
  const queue = new AdmissionQueue();
  queue.tune({ serviceMs: 10, leastMs: 8, limit, grainMs: 5 });
  return queue;
}

/** Callers of a second: an interval is as much as they bear. */
const hastyMs = 1_000;

/** Offers one ticket a ms until the queue is overloaded; when that was, and those that still wait. */
function overload(queue: AdmissionQueue): { readonly nowMs: number; readonly waiting: Ticket[] } {
  const waiting: Ticket[] = [];
  let nowMs = 0;
  while (!queue.isOverloaded) {
    const ticket = ticketOf(1, nowMs + hastyMs);
    queue.offer(ticket, nowMs);
    waiting.push(ticket);
    if (queue.length > 20) waiting.splice(waiting.indexOf(queue.take() as Ticket), 1);
    nowMs++;
    queue.expired(nowMs, 8);
  }
  return { nowMs, waiting };
}

describe("AdmissionQueue", () => {
  it("serves in order while calm, the higher class first", () => {
    const queue = createQueue();
    const [first, second, urgent] = [ticketOf(), ticketOf(), ticketOf(0)];
    for (const ticket of [first, second, urgent]) queue.offer(ticket, 0);
    expect([queue.take(), queue.take(), queue.take(), queue.take()]).toEqual([urgent, first, second, undefined]);
  });

  it("serves the newest first once its delay has stood above the target for an interval, and lets nobody wait long", () => {
    const queue = createQueue();
    const { nowMs, waiting } = overload(queue);
    expect(nowMs).toBeGreaterThanOrEqual(100);
    expect(nowMs).toBeLessThan(125);
    expect(queue.take()).toBe(waiting.at(-1));
    let left = 0;
    for (let late = queue.expired(nowMs + 21, 8); late !== undefined; late = queue.expired(nowMs + 21, 8)) {
      expect(queue.reasonOf(late, nowMs + 21)).toBe("queue_timeout");
      left++;
    }
    expect(left).toBeGreaterThan(10);
    expect(queue.length).toBe(0);
  });

  it("lets a burst wait while it is worked off, however long its head has waited", () => {
    const queue = createQueue();
    for (let at = 0; at < 80; at++) queue.offer(ticketOf(), 0);
    for (let nowMs = 10; queue.length > 0; nowMs += 10) {
      expect(queue.expired(nowMs, 8)).toBeUndefined();
      expect(queue.isOverloaded).toBe(false);
      queue.take();
      // Others come all the while, half as fast.
      if (nowMs % 20 === 0) queue.offer(ticketOf(), nowMs);
    }
  });

  it("counts who leaves the application while the limit falls as worked off", () => {
    const queue = createQueue();
    for (let at = 0; at < 20; at++) queue.offer(ticketOf(), 0);
    for (let nowMs = 10; nowMs <= 500; nowMs += 10) expect(queue.expired(nowMs, 60 - nowMs / 10)).toBeUndefined();
    expect(queue.isOverloaded).toBe(false);
  });

  it.each([["nobody is taken from", 150, 10_000, hastyMs, 100], ["will take too long for its callers", 150, 20, hastyMs, 100], ["will take two seconds and more", 300, 20, Number.POSITIVE_INFINITY, 1_000]] as const)("is overloaded by a burst that %s, as soon as it has stood for what they bear", (_what, length, everyMs, deadlineMs, standMs) => {
    const queue = createQueue(30);
    for (let at = 0; at < length; at++) queue.offer(ticketOf(1, deadlineMs), 0);
    for (let nowMs = 10; nowMs < standMs; nowMs += 10) {
      expect(queue.expired(nowMs, 8)).toBeUndefined();
      if (nowMs % everyMs === 0) queue.take();
    }
    expect(queue.expired(standMs, 8)).toBeDefined();
    expect(queue.isOverloaded).toBe(true);
  });

  it.each([
    ["has no deadline", 10, Number.POSITIVE_INFINITY, 1_000],
    ["waits for three seconds", 10, 3_000, 200],
    ["waits for half a second", 10, 500, 100],
    ["waits for three seconds, and of whose application nothing is known", 0, 3_000, 750],
    ["has no deadline, and of whose application nothing is known", 0, Number.POSITIVE_INFINITY, 2_000],
  ] as const)("bears a delay for long enough before it is overload, where a caller %s", (_who, serviceMs, deadlineMs, standMs) => {
    const queue = new AdmissionQueue();
    queue.tune({ serviceMs, leastMs: 0, limit: 8, grainMs: 5 });
    for (let nowMs = 0; nowMs < 2_500 && !queue.isOverloaded; nowMs += 5) {
      queue.offer(ticketOf(1, nowMs + deadlineMs), nowMs);
      if (nowMs >= 50) queue.take();
      if (nowMs >= standMs + 25) expect(queue.isOverloaded).toBe(true);
      queue.expired(nowMs, 8);
      if (nowMs < standMs) expect(queue.isOverloaded).toBe(false);
    }
    expect(queue.isOverloaded).toBe(true);
  });

  it("blames nobody for a queue that a probe of the limit makes, and is judged an interval after it", () => {
    const queue = createQueue();
    for (let nowMs = 0; nowMs < 500; nowMs += 10) {
      queue.offer(ticketOf(1, nowMs + hastyMs), nowMs);
      queue.excuse(nowMs, 2);
      expect(queue.expired(nowMs, 2)).toBeUndefined();
    }
    expect(queue.isOverloaded).toBe(false);
    let nowMs = 500;
    for (; !queue.isOverloaded; nowMs += 10) {
      expect(nowMs).toBeLessThan(700);
      queue.offer(ticketOf(1, nowMs + hastyMs), nowMs);
      queue.expired(nowMs, 8);
    }
    expect(nowMs).toBeGreaterThan(590);
    // Overload that there is already is none of the probe's doing.
    queue.excuse(nowMs, 8);
    expect(queue.isOverloaded).toBe(true);
  });

  it("is overloaded an interval after a burst is not worked off any more", () => {
    const queue = createQueue();
    for (let at = 0; at < 60; at++) queue.offer(ticketOf(), 0);
    for (let nowMs = 10; nowMs <= 300; nowMs += 10) {
      expect(queue.expired(nowMs, 8)).toBeUndefined();
      queue.take();
    }
    for (let nowMs = 310; !queue.isOverloaded; nowMs += 10) {
      expect(nowMs).toBeLessThan(1_300);
      queue.offer(ticketOf(), nowMs);
      queue.offer(ticketOf(), nowMs);
      queue.expired(nowMs, 8);
    }
  });

  it("is calm again when nobody had to leave for an interval", () => {
    const queue = createQueue();
    const { nowMs } = overload(queue);
    while (queue.expired(nowMs + 50, 8) !== undefined);
    while (queue.take() !== undefined);
    queue.offer(ticketOf(1, nowMs + 60 + hastyMs), nowMs + 60);
    expect(queue.isOverloaded).toBe(true);
    queue.take();
    queue.offer(ticketOf(1, nowMs + 200 + hastyMs), nowMs + 200);
    expect(queue.isOverloaded).toBe(false);
  });

  it("refuses first whose deadline cannot be met any more", () => {
    const queue = createQueue();
    const [patient, hasty] = [ticketOf(), ticketOf(0, 30)];
    queue.offer(patient, 0);
    queue.offer(hasty, 0);
    expect(queue.expired(20, 8)).toBeUndefined();
    expect(queue.expired(23, 8)).toBe(hasty);
    expect(queue.reasonOf(hasty, 23)).toBe("deadline_exceeded");
    expect(queue.expired(23, 8)).toBeUndefined();
  });

  it("when full lets the lowest class go, and of equals the newcomer while calm", () => {
    const queue = createQueue();
    const tickets = Array.from({ length: queue.lengthMax }, (_, at) => ticketOf(at % 8 === 3 ? 2 : 1));
    for (const ticket of tickets) expect(queue.offer(ticket, 0)).toBeUndefined();
    expect(queue.offer(ticketOf(0), 1)).toBe(tickets[3]);
    expect(queue.offer(ticketOf(1), 1)).toBe(tickets[11]);
    const sheddable = ticketOf(2);
    expect(queue.offer(sheddable, 1)).toBe(sheddable);
    for (let at = 2; at < queue.lengthMax / 8; at++) queue.offer(ticketOf(), 1);
    const newcomer = ticketOf();
    expect(queue.offer(newcomer, 1)).toBe(newcomer);
    expect(queue.length).toBe(queue.lengthMax);
  });

  it("agrees with a plain list, whatever happens in whatever order", () => {
    const step = fc.record({ act: fc.constantFrom("offer", "take", "leave", "expire"), gapMs: fc.integer({ min: 0, max: 40 }), priority: fc.integer({ min: 0, max: 2 }), patienceMs: fc.integer({ min: 0, max: 400 }), at: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const queue = createQueue();
        let model: Ticket[] = [];
        let nowMs = 0;
        for (const { act, gapMs, priority, patienceMs, at } of steps) {
          nowMs += gapMs;
          if (act === "offer") {
            const ticket = ticketOf(priority, nowMs + patienceMs);
            model.push(ticket);
            const evicted = queue.offer(ticket, nowMs);
            if (evicted !== undefined) {
              expect(evicted.priority).toBe(Math.max(...model.map((its) => its.priority)));
              model = model.filter((its) => its !== evicted);
            }
          } else if (act === "take") {
            const taken = queue.take();
            const best = model.filter((its) => its.priority === Math.min(...model.map((each) => each.priority)));
            expect(taken).toBe(queue.isOverloaded ? best.at(-1) : best[0]);
            model = model.filter((its) => its !== taken);
          } else if (act === "leave" && model.length > 0) {
            const [left] = model.splice(at % model.length, 1);
            queue.remove(left as Ticket);
          } else {
            for (let late = queue.expired(nowMs, 8); late !== undefined; late = queue.expired(nowMs, 8)) {
              expect(model).toContain(late);
              model = model.filter((its) => its !== late);
            }
            for (const its of model) {
              expect(its.deadlineMs).toBeGreaterThanOrEqual(nowMs + 8);
              expect(nowMs - its.sinceMs).toBeLessThanOrEqual(queue.waitMsMax);
            }
          }
          expect(queue.length).toBe(model.length);
        }
      }),
    );
  });
});
