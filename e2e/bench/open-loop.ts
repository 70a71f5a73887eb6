import type { Clock } from "#federation/runtime/clock.ts";
import { Histogram } from "./histogram.ts";
import { LoadConnection } from "./load-connection.ts";

/** Requests at planned times, whether or not earlier ones have been answered. */
export interface OpenLoopRequest {
  readonly port: number;
  readonly host: string;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  /** Requests on the way at once; a planned request that finds none free waits, and the wait is part of its latency. */
  readonly connections: number;
  /** Left out of the result, so that connections and caches are warm. */
  readonly warmUpSeconds: number;
}

/** What was seen, from the planned time of each request to the last byte of its answer. */
export interface OpenLoopResult {
  readonly answered: number;
  readonly errors: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly p999Micros: number;
  readonly maxMicros: number;
}

/** When the next request is further off than this, the event loop may sleep; Node's timers are good to a millisecond. */
const spinBelowMs = 2;

/**
 * Sends `requestsPerSecond` evenly and counts what comes back. Between two requests it spins through the event loop
 * rather than sleeping: a timer's millisecond would drown what is measured. Run it in a process of its own.
 */
export function runOpenLoop(request: OpenLoopRequest, clock: Clock): Promise<OpenLoopResult> {
  return new Promise((resolve) => new OpenLoop(request, clock, resolve).run());
}

class OpenLoop {
  readonly #request: OpenLoopRequest;
  readonly #clock: Clock;
  readonly #done: (result: OpenLoopResult) => void;
  readonly #histogram = new Histogram();
  readonly #head: Buffer;
  readonly #idle: LoadConnection<number>[] = [];
  readonly #waiting: number[] = [];
  readonly #total: number;
  readonly #startMs: number;
  readonly #measuredFromMs: number;
  #planned = 0;
  #open = 0;
  #errors = 0;

  constructor(request: OpenLoopRequest, clock: Clock, done: (result: OpenLoopResult) => void) {
    this.#request = request;
    this.#clock = clock;
    this.#done = done;
    this.#head = Buffer.from(`GET /bench HTTP/1.1\r\nHost: ${request.host}\r\n\r\n`);
    this.#total = Math.round((request.seconds + request.warmUpSeconds) * request.requestsPerSecond);
    this.#startMs = clock.monotonicMs();
    this.#measuredFromMs = this.#startMs + request.warmUpSeconds * 1000;
  }

  run(): void {
    for (let at = 0; at < this.#request.connections; at++) this.#idle.push(this.#connect());
    this.#turn();
  }

  #connect(): LoadConnection<number> {
    return new LoadConnection(this.#request.port, {
      onAnswer: (connection, plannedMs, status) => this.#onAnswer(connection, plannedMs, status >= 200 && status < 300),
      onClosed: (connection, plannedMs) => this.#onBroken(connection, plannedMs !== undefined),
    });
  }

  #turn(): void {
    const nowMs = this.#clock.monotonicMs();
    const intervalMs = 1000 / this.#request.requestsPerSecond;
    while (this.#planned < this.#total && this.#startMs + this.#planned * intervalMs <= nowMs) {
      this.#waiting.push(this.#startMs + this.#planned * intervalMs);
      this.#planned++;
    }
    this.#sendWaiting();
    // Answers may never come: 5 s after the plan's end what is still open counts as failed.
    const overdue = nowMs > this.#startMs + this.#total * intervalMs + 5_000;
    if ((this.#planned === this.#total && this.#open === 0 && this.#waiting.length === 0) || overdue) {
      this.#finish();
      return;
    }
    const waitMs = this.#startMs + this.#planned * intervalMs - nowMs;
    if (waitMs > spinBelowMs) this.#clock.schedule(waitMs - spinBelowMs / 2, () => this.#turn());
    else setImmediate(() => this.#turn());
  }

  #sendWaiting(): void {
    while (this.#waiting.length > 0 && this.#idle.length > 0) {
      const plannedMs = this.#waiting.shift() ?? 0;
      this.#open++;
      this.#idle.pop()?.send(this.#head, plannedMs);
    }
  }

  #onAnswer(connection: LoadConnection<number>, plannedMs: number, ok: boolean): void {
    this.#open--;
    if (!ok) this.#errors++;
    else if (plannedMs >= this.#measuredFromMs) this.#histogram.record((this.#clock.monotonicMs() - plannedMs) * 1000);
    this.#idle.push(connection);
    this.#sendWaiting();
  }

  #onBroken(connection: LoadConnection<number>, busy: boolean): void {
    if (busy) {
      this.#open--;
      this.#errors++;
    }
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    // A refused connection must not be tried again in a tight loop, and the plan ends anyway.
    if (this.#planned < this.#total) this.#clock.schedule(10, () => this.#idle.push(this.#connect()));
  }

  #finish(): void {
    const histogram = this.#histogram;
    for (const connection of this.#idle) connection.close();
    this.#done({
      answered: histogram.total,
      errors: this.#errors + this.#open + this.#waiting.length,
      p50Micros: histogram.quantileMicros(0.5),
      p99Micros: histogram.quantileMicros(0.99),
      p999Micros: histogram.quantileMicros(0.999),
      maxMicros: histogram.maxMicros,
    });
  }
}
