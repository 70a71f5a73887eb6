import { createSeededRandom } from "#federation/runtime/random.ts";
import type { Random } from "#federation/runtime/random.ts";
import { Admission, Admitted, Refused } from "./admission.ts";
import { Ticket } from "./ticket.ts";
import type { TicketOwner } from "./ticket.ts";

/** Time until an application is done with a request when nothing else is under way, ms. */
export type ServiceTime = (random: Random, nowMs: number) => number;

/** An open-loop load on one application behind admission, on virtual time. */
export interface LoadCase {
  readonly seed: number;
  /** Requests that the application works on at once; more wait inside it, first come first served. */
  readonly workers: number;
  /** Where their number changes: at a time. */
  readonly workersAt?: (nowMs: number) => number;
  readonly service: ServiceTime;
  /** Offered requests a second at a time. */
  readonly rate: (nowMs: number) => number;
  readonly durationMs: number;
  /** When the sidecar's loop sees what comes at a time: a busy one sees much at once. */
  readonly seenAt?: (nowMs: number) => number;
  /** Callers leave after this; the application works on all the same. */
  readonly deadlineMs?: number;
  /** After how long a caller who came at a time asks elsewhere; undefined when he waits. */
  readonly movesOn?: (nowMs: number) => number | undefined;
  /** The share of each class; all `default` when absent. */
  readonly classes?: readonly [critical: number, normal: number, sheddable: number];
  /** Without admission: what the application alone would do. */
  readonly isOpen?: boolean;
  readonly admission?: Admission;
}

/** What became of a request. */
export interface Seen {
  readonly atMs: number;
  readonly priority: number;
  /** From arrival to answer, in ms; only of those answered in time. */
  readonly tookMs: number;
  readonly outcome: "answered" | "refused" | "abandoned";
}

/** All requests of a run and how the limit moved. */
export interface LoadResult {
  readonly seen: readonly Seen[];
  readonly admission: Admission;
  /** Limit each 100 ms. */
  readonly limits: readonly number[];
  /** Requests in the application each 100 ms, also those that nobody waits for. */
  readonly inside: readonly number[];
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

/** A binary heap of events; equal times in the order of their making. */
class Agenda {
  readonly #events: Event[] = [];
  #order = 0;
  nowMs = 0;

  at(atMs: number, act: () => void): void {
    const events = this.#events;
    let at = events.length;
    const event: Event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, act };
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = events[parent];
      if (above === undefined || !isBefore(event, above)) break;
      events[at] = above;
      events[parent] = event;
      at = parent;
    }
  }

  /** Runs the next event; false when there is none before `endMs`. */
  step(endMs: number): boolean {
    const events = this.#events;
    const first = events[0];
    if (first === undefined || first.atMs > endMs) return false;
    const last = events.pop();
    if (last !== undefined && events.length > 0) this.#sink(last);
    this.nowMs = first.atMs;
    first.act();
    return true;
  }

  #sink(event: Event): void {
    const events = this.#events;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      const left = events[child];
      if (left === undefined) break;
      const right = events[child + 1];
      if (right !== undefined && isBefore(right, left)) child++;
      const smaller = events[child];
      if (smaller === undefined || !isBefore(smaller, event)) break;
      events[at] = smaller;
      at = child;
    }
    events[at] = event;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** Runs `load` to its end. The same seed gives the same run. */
export function simulate(load: LoadCase): LoadResult {
  const random = createSeededRandom(load.seed);
  const agenda = new Agenda();
  const admission = load.admission ?? new Admission();
  const deadlineMs = load.deadlineMs ?? 1_000;
  const seen: Seen[] = [];
  const limits: number[] = [];
  const insides: number[] = [];
  const backlog: (() => void)[] = [];
  let busy = 0;

  const whenSeen = (act: () => void): void => {
    if (load.seenAt === undefined) act();
    else agenda.at(load.seenAt(agenda.nowMs), act);
  };
  const work = (done: () => void): void => {
    busy++;
    agenda.at(agenda.nowMs + load.service(random, agenda.nowMs), () => {
      busy--;
      workOn();
      whenSeen(done);
    });
  };
  const workOn = (): void => {
    const free = (load.workersAt?.(agenda.nowMs) ?? load.workers) - busy;
    for (const next of backlog.splice(0, Math.max(0, free))) work(next);
  };
  const toApp = (done: () => void): void => {
    backlog.push(done);
    workOn();
  };

  // All callers wait as long, so they leave in the order in which they came.
  const leaving: (() => void)[] = [];
  const leavingAt: number[] = [];
  let gone = 0;
  const leave = (): void => {
    leaving[gone++]?.();
    const nextMs = leavingAt[gone];
    if (nextMs !== undefined) agenda.at(nextMs, leave);
  };

  const arrive = (): void => {
    const startMs = agenda.nowMs;
    const priority = classOf(random, load.classes);
    let isOver = false;
    const end = (outcome: Seen["outcome"]): void => {
      if (isOver) return;
      isOver = true;
      seen.push({ atMs: startMs, priority, tookMs: agenda.nowMs - startMs, outcome });
    };
    const forward = (): void =>
      toApp(() => {
        if (isOver) return;
        if (load.isOpen !== true) admission.head(ticket, agenda.nowMs, true);
        if (load.isOpen !== true) admission.leave(ticket, agenda.nowMs, "over");
        end("answered");
      });
    const owner: TicketOwner = { onAdmitted: forward, onRefused: () => end("refused") };
    const ticket = new Ticket(owner);
    ticket.priority = priority;
    ticket.deadlineMs = startMs + deadlineMs;
    leaving.push(() => {
      if (isOver) return;
      end("abandoned");
      if (load.isOpen !== true) admission.leave(ticket, agenda.nowMs, "givenUp");
    });
    leavingAt.push(ticket.deadlineMs);
    if (leaving.length - gone === 1) agenda.at(ticket.deadlineMs, leave);
    const movesOnMs = load.movesOn?.(startMs);
    if (movesOnMs !== undefined) {
      agenda.at(startMs + movesOnMs, () => {
        if (isOver) return;
        end("abandoned");
        admission.leave(ticket, agenda.nowMs, "movedOn");
      });
    }
    if (load.isOpen === true) {
      forward();
      return;
    }
    const said = admission.enter(ticket, startMs);
    if (said === Admitted) forward();
    else if (said === Refused) end("refused");
  };

  const next = (): void => {
    const rate = load.rate(agenda.nowMs);
    agenda.at(agenda.nowMs + (-Math.log(1 - random.next()) * 1_000) / rate, () => {
      whenSeen(arrive);
      next();
    });
  };
  const tick = (): void => {
    const seenMs = load.seenAt?.(agenda.nowMs) ?? agenda.nowMs;
    admission.onTick(seenMs - agenda.nowMs, seenMs);
    admission.refresh(agenda.nowMs);
    agenda.at(seenMs + 20, tick);
  };
  const watch = (): void => {
    limits.push(admission.limit.limit);
    insides.push(busy + backlog.length);
    agenda.at(agenda.nowMs + 100, watch);
  };
  tick();
  next();
  watch();
  while (agenda.step(load.durationMs));
  return { seen, admission, limits, inside: insides };
}

function classOf(random: Random, classes: LoadCase["classes"]): number {
  if (classes === undefined) return 1;
  const at = random.next();
  if (at < classes[0]) return 0;
  return at < classes[0] + classes[1] ? 1 : 2;
}

/** Answers a second among requests that arrived in a span. */
export function goodput(result: LoadResult, fromMs: number, toMs: number, priority?: number): number {
  let answered = 0;
  for (const { atMs, outcome, priority: its } of result.seen) {
    if (atMs >= fromMs && atMs < toMs && outcome === "answered" && (priority === undefined || its === priority)) answered++;
  }
  return (answered * 1_000) / (toMs - fromMs);
}

/** A quantile of the times of answered requests that arrived in a span, ms. */
export function latencyAt(result: LoadResult, quantile: number, fromMs: number, toMs: number): number {
  const times = result.seen.filter(({ atMs, outcome }) => outcome === "answered" && atMs >= fromMs && atMs < toMs).map(({ tookMs }) => tookMs);
  times.sort((one, other) => one - other);
  return times[Math.min(times.length - 1, Math.floor(times.length * quantile))] ?? Number.NaN;
}

/** Always the same. */
export const fixed =
  (ms: number): ServiceTime =>
  () =>
    ms;

/** Memoryless. */
export const exponential =
  (meanMs: number): ServiceTime =>
  (random) =>
    -Math.log(1 - random.next()) * meanMs;

/** Two routes: a share of slow ones among quick ones. */
export const mixed =
  (quickMs: number, slowMs: number, slowRatio: number): ServiceTime =>
  (random) =>
    random.next() < slowRatio ? slowMs : quickMs;
