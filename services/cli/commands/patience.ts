import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** The outcome of asking something that may be down: status shows what it can get. */
export type Asked<T> = { readonly kind: "answer"; readonly value: T } | { readonly kind: "failed"; readonly error: unknown };

/**
 * How long those are waited for who answer last, once anybody has: by the others' own time, since a host that is slow is so for all. Ms,
 * and times what the slowest answer took.
 */
const leastMs = 2_000;
const timesTheSlowest = 3;

/**
 * Asks several at once, of whom one or the other may never answer: then the command says so, and shows what it has. Where nobody answers
 * each question has its own end.
 */
export class Patience implements Disposable {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #startMs: number;
  #end: Disposable | undefined;

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    this.#startMs = clock.monotonicMs();
  }

  /** Runs `ask`, turning a failure into a value. Its signal aborts with ATOLL_ADMIN_UNAVAILABLE when patience ends. */
  async ask<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<Asked<T>> {
    const asked = await this.alongside(ask);
    if (asked.kind === "answer") this.#endLater();
    return asked;
  }

  /** The same for what ends with the rest and is no measure of it, such as what is looked up on this machine. */
  async alongside<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<Asked<T>> {
    try {
      return { kind: "answer", value: await ask(AbortSignal.any([this.#signal, this.#over.signal])) };
    } catch (error) {
      return { kind: "failed", error: this.#over.signal.aborted ? this.#over.signal.reason : error };
    }
  }

  [Symbol.dispose](): void {
    this.#end?.[Symbol.dispose]();
  }

  get #elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startMs;
  }

  #endLater(): void {
    this.#end?.[Symbol.dispose]();
    const endMs = Math.max(leastMs, timesTheSlowest * this.#elapsedMs);
    this.#end = this.#clock.schedule(endMs - this.#elapsedMs, () => this.#over.abort(new AtollError("ATOLL_ADMIN_UNAVAILABLE", `no answer within ${(endMs / 1_000).toFixed(1)} s`)));
  }
}
