import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { queueLengthMax } from "./admission-queue.ts";
import { Admission, Admitted, Refused, Waits } from "./admission.ts";
import { Ticket, ticketIdle, ticketStreaming, ticketWaiting, ticketWorking } from "./ticket.ts";
import type { RefusalReason } from "./ticket.ts";

const bounds = { initial: 2, min: 2, max: 8 };

class Caller {
  readonly ticket: Ticket;
  readonly heard: (RefusalReason | "admitted")[] = [];

  constructor(then: (heard: RefusalReason | "admitted") => void = () => undefined) {
    const hear = (heard: RefusalReason | "admitted"): void => {
      this.heard.push(heard);
      then(heard);
    };
    this.ticket = new Ticket({ onAdmitted: () => hear("admitted"), onRefused: hear });
  }
}

describe("Admission", () => {
  it("admits up to the limit, then lets wait, and a slot that becomes free goes to who waits", () => {
    const admission = new Admission(bounds);
    const [one, two, three] = [new Caller(), new Caller(), new Caller()];
    expect(admission.enter(one.ticket, 0)).toBe(Admitted);
    expect(admission.enter(two.ticket, 0)).toBe(Admitted);
    expect(admission.enter(three.ticket, 0)).toBe(Waits);
    expect(admission.report()).toMatchObject({ utilizationRatio: 1, headroom: 0 });
    admission.head(one.ticket, 5, true);
    expect(three.heard).toEqual(["admitted"]);
    expect(admission.inUse).toBe(2);
    admission.leave(two.ticket, 6, "over");
    expect(admission.report()).toMatchObject({ utilizationRatio: 0.5, headroom: 1 });
  });

  it("lets who leaves while waiting go at once, and tells it nothing", () => {
    const admission = new Admission(bounds);
    const callers = Array.from({ length: 4 }, () => new Caller());
    for (const { ticket } of callers) admission.enter(ticket, 0);
    admission.leave((callers[2] as Caller).ticket, 1, "givenUp");
    admission.head((callers[0] as Caller).ticket, 2, true);
    expect(callers.map(({ heard }) => heard)).toEqual([[], [], [], ["admitted"]]);
    expect(admission.queue.length).toBe(0);
  });

  it("refuses who waits longer than an interval, and tells it why", () => {
    const admission = new Admission(bounds);
    const callers = Array.from({ length: 3 }, () => new Caller());
    for (const { ticket } of callers) {
      ticket.deadlineMs = 400;
      admission.enter(ticket, 0);
    }
    admission.refresh(99);
    expect(callers[2]?.heard).toEqual([]);
    admission.refresh(101);
    expect(callers[2]?.heard).toEqual(["queue_timeout"]);
    expect(admission.refused[1 * 3 + 1]).toBe(1);
  });

  it("refuses at once whose deadline is over", () => {
    const admission = new Admission(bounds);
    const { ticket } = new Caller();
    ticket.deadlineMs = 10;
    expect(admission.enter(ticket, 10)).toBe(Refused);
    expect(admission.lastReason).toBe("deadline_exceeded");
  });

  it("evicts sheddable requests for critical ones when the queue is full", () => {
    const admission = new Admission(bounds);
    const sheddable = Array.from({ length: 2 + queueLengthMax }, () => new Caller());
    for (const { ticket } of sheddable) {
      ticket.priority = 2;
      admission.enter(ticket, 0);
    }
    const critical = new Caller();
    critical.ticket.priority = 0;
    expect(admission.enter(critical.ticket, 1)).toBe(Waits);
    expect(sheddable[2]?.heard).toEqual(["over_limit"]);
    expect(admission.refused[2 * 3]).toBe(1);
  });

  it("frees the slot at the response's head: a stream holds none", () => {
    const admission = new Admission(bounds);
    const streams = Array.from({ length: 5 }, () => new Caller());
    for (const { ticket } of streams) {
      expect(admission.enter(ticket, 0)).toBe(Admitted);
      admission.head(ticket, 1, true);
    }
    expect([admission.inUse, admission.streams]).toEqual([0, 5]);
    for (const { ticket } of streams) admission.leave(ticket, 60_000, "over");
    expect([admission.inUse, admission.streams]).toEqual([0, 0]);
    expect(admission.limit.latencyMs).toBe(0);
  });

  it("frees the slot of a request that has outlasted all patience, so that long polls do not shut others out", () => {
    const admission = new Admission(bounds);
    const polls = [new Caller(), new Caller()];
    for (const { ticket } of polls) admission.enter(ticket, 0);
    const waiting = new Caller();
    expect(admission.enter(waiting.ticket, 900)).toBe(Waits);
    expect(admission.enter(new Caller().ticket, 1_100)).toBe(Waits);
    expect(waiting.heard).toEqual(["admitted"]);
    expect([polls[0]?.ticket.state, polls[1]?.ticket.state]).toEqual([ticketStreaming, ticketWorking]);
  });

  it("tells of room again when requests that were given up must be over, though nobody comes to find out", () => {
    const admission = new Admission(bounds);
    const gone = [new Caller(), new Caller()];
    for (const { ticket } of gone) admission.enter(ticket, 0);
    for (const { ticket } of gone) admission.leave(ticket, 100, "givenUp");
    admission.onTick(0, 900);
    expect(admission.report()).toMatchObject({ utilizationRatio: 1, headroom: 0 });
    admission.onTick(0, 1_100);
    expect(admission.report()).toMatchObject({ utilizationRatio: 0, headroom: 2 });
  });

  it("keeps the slot of a request that was given up until a later one is answered", () => {
    const admission = new Admission(bounds);
    const [gone, next, last] = [new Caller(), new Caller(), new Caller()];
    admission.enter(gone.ticket, 0);
    admission.leave(gone.ticket, 5, "givenUp");
    expect([gone.ticket.state, admission.inUse]).toEqual([ticketIdle, 1]);
    admission.enter(next.ticket, 6);
    expect(admission.enter(last.ticket, 7)).toBe(Waits);
    admission.head(next.ticket, 20, true);
    expect(last.heard).toEqual(["admitted"]);
    expect(admission.inUse).toBe(1);
  });

  it("hears from callers that ask elsewhere nothing of its limit, and keeps their slots as well", () => {
    for (const departure of ["movedOn", "givenUp"] as const) {
      const admission = new Admission({ initial: 40, min: 2, max: 64 });
      for (let round = 0; round < 4; round++) {
        const callers = Array.from({ length: 40 }, () => new Caller());
        for (const { ticket } of callers) admission.enter(ticket, round * 1_000);
        const before = admission.inUse;
        for (const { ticket } of callers) admission.leave(ticket, round * 1_000 + 400, departure);
        expect(admission.inUse).toBe(before);
      }
      expect(admission.limit.limit < 40).toBe(departure === "givenUp");
    }
  });

  it("takes no sample from requests that were under way while this process slept", () => {
    const admission = new Admission({ initial: 40, min: 2, max: 64 });
    const callers = Array.from({ length: 40 }, () => new Caller());
    for (const { ticket } of callers) admission.enter(ticket, 0);
    admission.onStall(5_000);
    for (const { ticket } of callers) admission.head(ticket, 5_001, true);
    expect(admission.limit.latencyMs).toBe(0);
  });

  it("does not nest when an admitted request fails at once, however many wait", () => {
    const admission = new Admission({ initial: 2, min: 2, max: 1024 });
    let depth = 0;
    let deepest = 0;
    const callers: Caller[] = [];
    for (let at = 0; at < 60; at++) {
      const caller: Caller = new Caller((heard) => {
        depth++;
        deepest = Math.max(deepest, depth);
        if (heard === "admitted") admission.leave(caller.ticket, 1, "over");
        depth--;
      });
      callers.push(caller);
      admission.enter(caller.ticket, 0);
    }
    admission.leave((callers[0] as Caller).ticket, 1, "over");
    expect(callers.slice(2).every(({ heard }) => heard.join() === "admitted")).toBe(true);
    expect(deepest).toBe(1);
    expect([admission.inUse, admission.queue.length]).toEqual([1, 0]);
  });

  it("never loses a slot or a ticket, and tells each waiting one exactly once", () => {
    const step = fc.record({ act: fc.constantFrom("enter", "head", "leave", "giveUp", "refresh", "stall"), gapMs: fc.integer({ min: 0, max: 300 }), priority: fc.integer({ min: 0, max: 2 }), patienceMs: fc.integer({ min: 1, max: 2_000 }), at: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const admission = new Admission(bounds);
        const callers: Caller[] = [];
        let nowMs = 0;
        for (const { act, gapMs, priority, patienceMs, at } of steps) {
          nowMs += gapMs;
          const pick = callers[at % Math.max(1, callers.length)];
          if (act === "enter") {
            const caller = new Caller();
            caller.ticket.priority = priority;
            caller.ticket.deadlineMs = nowMs + patienceMs;
            if (admission.enter(caller.ticket, nowMs) !== Refused) callers.push(caller);
          } else if (act === "refresh") admission.refresh(nowMs);
          else if (act === "stall") admission.onStall(nowMs);
          else if (pick !== undefined && act === "head") admission.head(pick.ticket, nowMs, true);
          else if (pick !== undefined) admission.leave(pick.ticket, nowMs, act === "giveUp" ? "givenUp" : "over");
          const count = (state: number): number => callers.filter(({ ticket }) => ticket.state === state).length;
          expect(admission.queue.length).toBe(count(ticketWaiting));
          expect(admission.streams).toBe(count(ticketStreaming));
          expect(admission.inUse).toBeGreaterThanOrEqual(count(ticketWorking));
          expect(callers.every(({ heard }) => heard.length <= 1)).toBe(true);
          expect(admission.report().headroom).toBeGreaterThanOrEqual(0);
        }
        for (const { ticket } of callers) admission.leave(ticket, nowMs, "over");
        admission.refresh(nowMs + 1_000_000);
        for (let at = 0; at < 10; at++) {
          const { ticket } = new Caller();
          nowMs += 1_000_000;
          admission.enter(ticket, nowMs);
          admission.head(ticket, nowMs, false);
          admission.leave(ticket, nowMs, "over");
        }
        expect([admission.inUse, admission.streams, admission.queue.length]).toEqual([0, 0, 0]);
      }),
    );
  });
});
