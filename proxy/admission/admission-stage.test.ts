import { describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { Exchange, Wait } from "../http/exchange.ts";
import type { ClientSide, Route, Stage } from "../http/exchange.ts";
import { endExchange, hearResponse, runStages } from "../http/run-stages.ts";
import { TimingWheel } from "../http/timing-wheel.ts";
import { queueLengthMax } from "./admission-queue.ts";
import { Admission } from "./admission.ts";
import { AdmissionStage } from "./admission-stage.ts";
import { describeAdmission } from "./describe-admission.ts";

/** Requests through the stage to an application that answers when the test says. */
class Bench {
  readonly clock = new VirtualClock();
  readonly wheel = new TimingWheel(this.clock);
  readonly admission = new Admission({ initial: 2, min: 2, max: 4 });
  readonly forwarded: Exchange[] = [];
  readonly replies: Exchange[] = [];
  readonly #stages: readonly Stage[];

  constructor() {
    const forward: Stage = {
      name: "forward",
      request: (x) => {
        this.forwarded.push(x);
        return Wait;
      },
      response() {},
      end() {},
    };
    this.#stages = [new AdmissionStage(this.clock, this.wheel), forward];
  }

  ask(more: Partial<Pick<Exchange, "priority" | "deadlineAtMs">> = {}): Exchange {
    const x = new Exchange({
      resume: (waiting: Exchange) => runStages(this.#stages, waiting),
      reply: (refused: Exchange) => {
        this.replies.push(refused);
        hearResponse(this.#stages, refused);
        endExchange(this.#stages, refused);
      },
    } as unknown as ClientSide);
    this.begin(x, more);
    return x;
  }

  /** The next request of the same connection. */
  begin(x: Exchange, more: Partial<Pick<Exchange, "priority" | "deadlineAtMs">> = {}): void {
    x.reset();
    x.active = true;
    x.startMs = this.clock.monotonicMs();
    x.route = { admission: this.admission } as unknown as Route;
    Object.assign(x, more);
    runStages(this.#stages, x);
  }

  answer(x: Exchange, status = 200): void {
    x.status = status;
    hearResponse(this.#stages, x);
  }

  end(x: Exchange): void {
    endExchange(this.#stages, x);
  }

  leave(x: Exchange): void {
    x.flag = "DC";
    this.end(x);
  }
}

describe("AdmissionStage", () => {
  it("lets through what fits, lets the rest wait, and goes on when a head comes", () => {
    const bench = new Bench();
    const [one, two, three] = [bench.ask(), bench.ask(), bench.ask()];
    expect(bench.forwarded).toEqual([one, two]);
    bench.answer(one);
    expect(bench.forwarded).toEqual([one, two, three]);
    bench.end(one);
    bench.begin(one);
    expect(bench.admission.queue.length).toBe(1);
    bench.end(two);
    expect(bench.forwarded.at(-1)).toBe(one);
  });

  it("takes who leaves out of the queue at once", () => {
    const bench = new Bench();
    const [one, , three, four] = [bench.ask(), bench.ask(), bench.ask(), bench.ask()];
    bench.leave(three);
    expect(bench.admission.queue.length).toBe(1);
    expect(bench.wheel.size).toBe(1);
    bench.end(one);
    expect(bench.forwarded.at(-1)).toBe(four);
    expect(bench.replies).toEqual([]);
  });

  it("refuses what waits too long although nothing else happens, and says when to ask again", async () => {
    const bench = new Bench();
    for (let at = 0; at < 2; at++) bench.ask();
    const waiting = bench.ask({ deadlineAtMs: bench.clock.monotonicMs() + 400 });
    await bench.clock.advance(200);
    expect(bench.replies).toEqual([waiting]);
    expect(waiting).toMatchObject({ status: 503, flag: "UO", reason: "queue_timeout", retryAfterMs: 100 });
    expect(bench.wheel.size).toBe(0);
  });

  it("answers at once with 503 when the queue is full, and with 504 where the time is over", () => {
    const bench = new Bench();
    for (let at = 0; at < 2 + queueLengthMax; at++) bench.ask();
    expect(bench.ask()).toMatchObject({ status: 503, flag: "UO", reason: "over_limit" });
    expect(bench.ask({ deadlineAtMs: 0 })).toMatchObject({ status: 504, flag: "UT", reason: "deadline_exceeded", retryAfterMs: 0 });
    expect(bench.admission.refused.reduce((sum, count) => sum + count, 0)).toBe(2);
  });

  it("measures only answers of the application that are no failures", async () => {
    const bench = new Bench();
    for (let at = 0; at < 400; at++) {
      const x = bench.ask();
      await bench.clock.advance(1);
      if (at % 2 === 0) x.flag = "UF";
      bench.answer(x, at % 2 === 0 ? 503 : 500);
      bench.end(x);
    }
    expect([bench.admission.limit.latencyMs, bench.admission.inUse, bench.admission.streams]).toEqual([0, 0, 0]);
    for (let at = 0; at < 200; at++) {
      const x = bench.ask();
      await bench.clock.advance(5);
      bench.answer(x, 404);
      bench.end(x);
    }
    expect(bench.admission.limit.latencyMs).toBeCloseTo(5);
  });

  it("says so where the application is asked for more than it can do", async () => {
    const bench = new Bench();
    expect(describeAdmission(bench.admission, 0)).toMatchObject({ state: "ok" });
    for (let at = 0; at < 100; at++) bench.ask();
    expect(describeAdmission(bench.admission, bench.clock.monotonicMs())).toMatchObject({ state: "overloaded: admits 0 of 20 requests a second" });
    await bench.clock.advance(20_000);
    expect(describeAdmission(bench.admission, bench.clock.monotonicMs())).toMatchObject({ state: "ok" });
  });
});
