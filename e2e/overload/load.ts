import type { Clock } from "#federation/runtime/clock.ts";
import { LoadConnection } from "../bench/load-connection.ts";
import { plannedTimes, windowMs, type LoadPlan, type LoadResult, type LoadWindow } from "./load-plan.ts";

/** Timers are no finer; what is due in between is sent together. */
const tickMs = 1;
/** Users beyond this cannot even connect; more would be a measure of this machine's kernel. */
const connectionsMax = 4_000;
/**
 * What the load itself has left lying for longer than this share of its deadline is not sent any more: users who come late and
 * leave at once would keep the load from ever being on time again, and it would measure itself.
 */
const lateRatioMax = 0.2;

interface Pending {
  readonly plannedMs: number;
  readonly connection: LoadConnection<Pending>;
  isDone: boolean;
}

/** Drives a plan until its end or until `signal` says that it is enough, and then until every request has had its time. */
export function runLoad(plan: LoadPlan, clock: Clock, signal: AbortSignal): Promise<LoadResult> {
  return new Promise((resolve) => new Load(plan, clock, resolve).start(signal));
}

class Load {
  readonly #plan: LoadPlan;
  readonly #clock: Clock;
  readonly #onEnd: (result: LoadResult) => void;
  readonly #head: Buffer;
  readonly #times: Iterator<number>;
  readonly #windows: LoadWindow[] = [];
  readonly #idle: LoadConnection<Pending>[] = [];
  /** In the order of their plan, which is that of their deadlines; those before `#pendingFrom` are over. */
  #pending: Pending[] = [];
  #pendingFrom = 0;
  #connections = 0;
  #startMs = 0;
  #wallStartMs = 0;
  /** The next request's time; undefined after the last. */
  #nextMs: number | undefined;

  constructor(plan: LoadPlan, clock: Clock, onEnd: (result: LoadResult) => void) {
    this.#plan = plan;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#head = Buffer.from(`GET /load HTTP/1.1\r\nHost: ${plan.host}\r\n\r\n`);
    this.#times = plannedTimes(plan.phases);
  }

  start(signal: AbortSignal): void {
    this.#startMs = this.#clock.monotonicMs();
    this.#wallStartMs = this.#clock.nowMs();
    signal.addEventListener("abort", () => (this.#nextMs = undefined), { once: true });
    this.#next();
    this.#tick();
  }

  #next(): void {
    const next = this.#times.next();
    this.#nextMs = next.done === true ? undefined : this.#startMs + next.value;
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#leave(nowMs);
    for (let plannedMs = this.#nextMs; plannedMs !== undefined && plannedMs <= nowMs; plannedMs = this.#nextMs) {
      this.#send(plannedMs, nowMs);
      this.#next();
    }
    if (this.#nextMs === undefined && this.#pendingFrom === this.#pending.length) this.#finish();
    else this.#clock.schedule(tickMs, () => this.#tick());
  }

  /** Users whose time is over close their connection. */
  #leave(nowMs: number): void {
    for (; this.#pendingFrom < this.#pending.length; this.#pendingFrom++) {
      const pending = this.#pending[this.#pendingFrom];
      if (pending === undefined || pending.isDone) continue;
      if (pending.plannedMs + this.#plan.deadlineMs > nowMs) break;
      pending.isDone = true;
      this.#windowOf(pending.plannedMs).abandoned++;
      pending.connection.close();
      this.#connections--;
    }
    if (this.#pendingFrom > 10_000) {
      this.#pending = this.#pending.slice(this.#pendingFrom);
      this.#pendingFrom = 0;
    }
  }

  #send(plannedMs: number, nowMs: number): void {
    const window = this.#windowOf(plannedMs);
    window.planned++;
    const connection = nowMs - plannedMs < this.#plan.deadlineMs * lateRatioMax ? this.#takeConnection() : undefined;
    if (connection === undefined) {
      window.unsent++;
      return;
    }
    const pending = { plannedMs, connection, isDone: false };
    this.#pending.push(pending);
    connection.send(this.#head, pending);
  }

  #takeConnection(): LoadConnection<Pending> | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) if (idle.isOpen) return idle;
    if (this.#connections >= connectionsMax) return undefined;
    this.#connections++;
    return new LoadConnection(this.#plan.port, {
      onAnswer: (connection, pending, status) => this.#onAnswer(connection, pending, status),
      onClosed: (_, pending) => this.#onClosed(pending),
    });
  }

  #onAnswer(connection: LoadConnection<Pending>, pending: Pending, status: number): void {
    const latencyMs = this.#clock.monotonicMs() - pending.plannedMs;
    const window = this.#windowOf(pending.plannedMs);
    pending.isDone = true;
    // The tick that would have left may come late itself.
    if (latencyMs > this.#plan.deadlineMs) window.abandoned++;
    else if (status === 200) {
      window.ok++;
      window.okMicros.push(Math.round(latencyMs * 1000));
    } else window.refused++;
    this.#idle.push(connection);
  }

  #onClosed(pending: Pending | undefined): void {
    this.#connections--;
    if (pending === undefined) return;
    pending.isDone = true;
    this.#windowOf(pending.plannedMs).broken++;
  }

  #windowOf(plannedMs: number): LoadWindow {
    const at = Math.floor((plannedMs - this.#startMs) / windowMs);
    while (this.#windows.length <= at) this.#windows.push({ planned: 0, ok: 0, refused: 0, abandoned: 0, broken: 0, unsent: 0, okMicros: [] });
    const window = this.#windows[at];
    if (window === undefined) throw new Error(`no window ${at}`);
    return window;
  }

  #finish(): void {
    for (const connection of this.#idle) connection.close();
    this.#onEnd({ startMs: this.#wallStartMs, deadlineMs: this.#plan.deadlineMs, windows: this.#windows });
  }
}
