import { connect } from "node:net";
import { sleep, type Clock } from "./clock.ts";

/** When a member is looked for, in ms. */
export interface WayBackTimes {
  /** Between two looks, and how long one may take. */
  readonly lookMs: number;
  /** A member that has not answered for so long may have a connection that leads nowhere; before, it is only slow. */
  readonly silentMs: number;
  /** Each new connection has at least so long to become one. */
  readonly dialMs: number;
}

export const defaultWayBackTimes: WayBackTimes = { lookMs: 500, silentMs: 2_000, dialMs: 5_000 };

export interface WayBackOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  /** Closes the connections there are, so that the next call opens others. */
  readonly redial: () => void;
  readonly times?: WayBackTimes;
}

/**
 * Notices that a member which answered nobody can be reached again. Where packets were dropped for a time, the kernel asks again ever more
 * rarely, with a connection that is being made after 1, 2, 4 and up to 64 s, and gRPC waits for that one: the return would be noticed as
 * late again as the absence was long. Whether others get through shows a connection of one's own, and then the old ones are given up.
 * @see https://www.rfc-editor.org/rfc/rfc6298 (the timer doubles)
 */
export class WayBack implements Disposable {
  readonly #options: WayBackOptions;
  readonly #times: WayBackTimes;
  #dialedMs: number;
  #answeredMs: number;
  #looking: AbortController | undefined;
  #isOver = false;

  constructor(options: WayBackOptions) {
    this.#options = options;
    this.#times = options.times ?? defaultWayBackTimes;
    this.#dialedMs = options.clock.monotonicMs();
    this.#answeredMs = this.#dialedMs;
  }

  answered(): void {
    this.#answeredMs = this.#options.clock.monotonicMs();
    this.#looking?.abort();
  }

  /** A call has ended without an answer. */
  failed(): void {
    if (this.#looking !== undefined || this.#isOver) return;
    const looking = new AbortController();
    this.#looking = looking;
    void this.#look(looking.signal).finally(() => {
      this.#looking = undefined;
    });
  }

  /** Also ends what looks for it: calls that are under way fail after this. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#looking?.abort();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, host, port, redial } = this.#options;
    const { lookMs, silentMs, dialMs } = this.#times;
    while (!signal.aborted) {
      await sleep(clock, lookMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const isThere = await takesConnections(host, port, { clock, timeoutMs: lookMs, signal });
      const nowMs = clock.monotonicMs();
      if (signal.aborted || !isThere || nowMs - this.#answeredMs < silentMs || nowMs - this.#dialedMs < dialMs) continue;
      this.#dialedMs = nowMs;
      redial();
      return;
    }
  }
}

function takesConnections(host: string, port: number, { clock, timeoutMs, signal }: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (isThere: boolean): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(isThere);
    };
    const onAbort = (): void => settle(false);
    const timer = clock.schedule(timeoutMs, () => settle(false));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => settle(true));
    socket.on("error", () => settle(false));
  });
}
