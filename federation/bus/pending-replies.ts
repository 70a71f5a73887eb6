import { abortedError, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Requests that one bus object may have unanswered at once. */
const pendingMax = 4_096;

interface Pending {
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: AtollError) => void;
}

/** Unanswered requests of one bus object, by token. */
export class PendingReplies {
  readonly #clock: Clock;
  readonly #byToken = new Map<string, Pending>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Makes a token, lets `send` use it, and waits for the answer.
   * @throws {ATOLL_BUS_TIMEOUT | ATOLL_BUS_UNAVAILABLE | ATOLL_ABORTED} and what `send` throws
   */
  wait(timeoutMs: number, signal: AbortSignal, send: (token: string) => void): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortedError(signal));
        return;
      }
      if (this.#byToken.size >= pendingMax) {
        reject(new AtollError("ATOLL_BUS_OVERLOADED", `${pendingMax} requests are already unanswered`));
        return;
      }
      const token = (++this.#count).toString(36);
      const settle = (): void => {
        this.#byToken.delete(token);
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        settle();
        reject(abortedError(signal));
      };
      const timer = this.#clock.schedule(timeoutMs, () => {
        settle();
        reject(new AtollError("ATOLL_BUS_TIMEOUT", `no answer within ${timeoutMs} ms`));
      });
      signal.addEventListener("abort", onAbort, { once: true });
      this.#byToken.set(token, {
        resolve: (payload) => {
          settle();
          resolve(payload);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      try {
        send(token);
      } catch (error) {
        settle();
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  /** A late or repeated answer is nobody's and does nothing. */
  answer(token: string, payload: Uint8Array): void {
    this.#byToken.get(token)?.resolve(payload);
  }

  refuse(token: string, reason: string): void {
    this.#byToken.get(token)?.reject(new AtollError("ATOLL_BUS_UNAVAILABLE", reason));
  }

  refuseAll(reason: string): void {
    for (const token of this.#byToken.keys()) this.refuse(token, reason);
  }
}
