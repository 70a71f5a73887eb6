import { connect } from "node:net";
import { sleep, type Clock } from "./clock.ts";
import { jittered, type Random } from "./random.ts";

/** When a member is looked for, in ms. */
export interface WayBackTimes {
  /** Between two looks, give or take a half, and how long one may take. */
  readonly lookMs: number;
  /** A member that has not answered for so long may have a connection that leads nowhere; before, it is only slow. */
  readonly silentMs: number;
  /** Each new connection has at least so long to become one. */
  readonly dialMs: number;
}

/** Members in one look. */
const looksMax = 16;

export const defaultWayBackTimes: WayBackTimes = { lookMs: 500, silentMs: 2_000, dialMs: 5_000 };

/** Where one looks. */
export interface LookedAt {
  readonly host: string;
  readonly port: number;
}

export interface WayBackOptions {
  /** Asked for each look, which they have together; one that takes a connection is enough. */
  readonly members: (signal: AbortSignal) => Promise<readonly LookedAt[]>;
  /** Leaves those alone that were refused all the while: what refuses keeps no connection waiting, and has its own pace of trying again. */
  readonly onlyAfterSilence?: boolean;
  readonly clock: Clock;
  readonly random: Random;
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

  async #lookAtAll(signal: AbortSignal): Promise<Look> {
    const { clock } = this.#options;
    const members = await this.#options.members(signal);
    const looks = await Promise.all(members.slice(0, looksMax).map((member) => lookAt(member, { clock, timeoutMs: this.#times.lookMs, signal })));
    if (looks.includes("there")) return "there";
    return looks.includes("silent") ? "silent" : "refused";
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, random, onlyAfterSilence = false, redial } = this.#options;
    const { lookMs, silentMs, dialMs } = this.#times;
    let hasMissed = !onlyAfterSilence;
    while (!signal.aborted) {
      await sleep(clock, jittered(random, lookMs, 0.5), signal).catch(() => undefined);
      if (signal.aborted) return;
      const seen = await this.#lookAtAll(signal);
      hasMissed ||= seen === "silent";
      if (signal.aborted || seen !== "there") continue;
      if (!hasMissed) return;
      const nowMs = clock.monotonicMs();
      if (nowMs - this.#answeredMs < silentMs || nowMs - this.#dialedMs < dialMs) continue;
      this.#dialedMs = nowMs;
      redial();
      return;
    }
  }
}

/** Silent is also one to which there is no way. */
type Look = "there" | "refused" | "silent";

function lookAt({ host, port }: LookedAt, { clock, timeoutMs, signal }: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<Look> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (look: Look): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(look);
    };
    const onAbort = (): void => settle("silent");
    const timer = clock.schedule(timeoutMs, () => settle("silent"));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => settle("there"));
    socket.on("error", (error: NodeJS.ErrnoException) => settle(error.code === "ECONNREFUSED" ? "refused" : "silent"));
  });
}
