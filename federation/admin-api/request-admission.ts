import { overloadOf, type Overload } from "#federation/model/overload.ts";
import { abortedError, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { RecentRates } from "#federation/runtime/recent-rates.ts";
import { FairQueue } from "./fair-queue.ts";

/** Bounds of what a plane does for its callers at once, of one kind of request. */
export const requestAdmissionLimits = {
  /** At once, before it is known how fast they are. */
  first: 64,
  /** At once, however slow they are: below it less is done, since fewer share a sync of the disk and a call to the store. */
  min: 32,
  max: 512,
  /** For one of those to end; one more sends away the newest of whoever waits with most. */
  waiting: 1_024,
  /** How long one waits for that, ms. */
  waitMs: 1_000,
} as const;

/** What a request takes while as many are under way as may, ms: well below the second that a store has for its part, and enough for many to share one write. */
const targetMs = 400;
/** The limit follows what was measured for so long. */
const windowMs = 250;
/** One window changes the limit by this at most: what a stop of the process makes slow is one window's. */
const [shrinkMax, growMax] = [0.5, 1.25];

/** Why a request is not taken: as many wait already, or it has waited as long as it may. */
export const requestRefusals = ["full", "waited"] as const;
export type RequestRefusal = (typeof requestRefusals)[number];

/** A request that was refused without having been looked at, so that it may be made again. */
export class OverloadedError extends AtollError {
  /** When that makes sense, s. */
  readonly retryAfterSeconds = Math.ceil(requestAdmissionLimits.waitMs / 1_000);
}

export interface RequestAdmissionOptions {
  /** Plural, for messages. */
  readonly what: string;
  readonly clock: Clock;
  readonly onRefused: (reason: RequestRefusal) => void;
}

interface Waiting {
  readonly begin: () => void;
  readonly refuse: (reason: RequestRefusal) => void;
}

/**
 * How many requests a plane works on at once. More of them than it gets done would each take as long as all together, until none is done
 * before its caller, or the store, has given up on it. So no more are begun than take `targetMs` beside each other, by Little's law from what the
 * latest have taken; the others wait, each caller's in a line of his own, and are refused before they have cost anything.
 * @see docs/adr/0040-planes-that-refuse-early.md
 */
export class RequestAdmission {
  readonly #options: RequestAdmissionOptions;
  readonly #queue = new FairQueue<Waiting>();
  readonly #rates = new RecentRates();
  #limit: number = requestAdmissionLimits.first;
  #inUse = 0;
  #windowSinceMs: number;
  #ended = 0;
  #tookMs = 0;
  /** In this window somebody would have had to wait for one more. */
  #wasFull = false;

  constructor(options: RequestAdmissionOptions) {
    this.#options = options;
    this.#windowSinceMs = options.clock.monotonicMs();
  }

  /** Requests that may be under way at once. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Of the last seconds; undefined while all that come are taken. */
  get overload(): Overload | undefined {
    return overloadOf(this.#rates.at(this.#options.clock.monotonicMs()));
  }

  /** Resolves when a request of `caller` may begin; dispose of what is answered when it is over. @throws {OverloadedError} @throws {ATOLL_ABORTED} */
  async enter(caller: string, signal: AbortSignal): Promise<Disposable> {
    if (signal.aborted) throw abortedError(signal);
    this.#rates.asked(this.#options.clock.monotonicMs());
    if (!this.#isFull) return this.#begin();
    this.#wasFull = true;
    return await this.#wait(caller, signal);
  }

  get #isFull(): boolean {
    return this.#queue.size > 0 || this.#inUse >= this.limit;
  }

  #wait(caller: string, signal: AbortSignal): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", onAbort);
      };
      const waiting: Waiting = {
        begin: () => {
          leave();
          resolve(this.#begin());
        },
        refuse: (reason) => {
          leave();
          reject(this.#refusal(reason));
        },
      };
      const onAbort = (): void => {
        this.#queue.remove(caller, waiting);
        leave();
        reject(abortedError(signal));
      };
      const timer = this.#options.clock.schedule(requestAdmissionLimits.waitMs, () => {
        this.#queue.remove(caller, waiting);
        waiting.refuse("waited");
      });
      signal.addEventListener("abort", onAbort, { once: true });
      this.#queue.push(caller, waiting);
      if (this.#queue.size > requestAdmissionLimits.waiting) this.#queue.takeExcess()?.refuse("full");
    });
  }

  #begin(): Disposable {
    const startMs = this.#options.clock.monotonicMs();
    this.#inUse++;
    this.#rates.admitted();
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#end(startMs);
      },
    };
  }

  #end(startMs: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#inUse--;
    this.#ended++;
    this.#tookMs += nowMs - startMs;
    if (nowMs - this.#windowSinceMs >= windowMs) this.#follow(nowMs);
    while (this.#inUse < this.limit) {
      const next = this.#queue.take();
      if (next === undefined) return;
      next.begin();
    }
  }

  /** Where nobody waited the times say nothing of a limit; one that was lowered goes back to where it began. */
  #follow(nowMs: number): void {
    const { first, min, max } = requestAdmissionLimits;
    const change = Math.min(growMax, Math.max(shrinkMax, (targetMs * this.#ended) / Math.max(1, this.#tookMs)));
    if (this.#wasFull) this.#limit = Math.min(max, Math.max(min, this.#limit * change));
    else if (this.#limit < first) this.#limit = Math.min(first, this.#limit * growMax);
    this.#wasFull = this.#queue.size > 0;
    this.#windowSinceMs = nowMs;
    this.#ended = 0;
    this.#tookMs = 0;
  }

  #refusal(reason: RequestRefusal): OverloadedError {
    this.#options.onRefused(reason);
    const { what } = this.#options;
    const why = { full: `${this.#queue.size} ${what} wait already`, waited: `${this.#inUse} ${what} are under way, and this one has waited for ${requestAdmissionLimits.waitMs} ms` }[reason];
    return new OverloadedError("ATOLL_ADMIN_OVERLOADED", `the plane does as many ${what} as it can: ${why}; nothing was done, and it can be asked again`);
  }
}
