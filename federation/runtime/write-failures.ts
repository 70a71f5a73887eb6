import type { Clock } from "./clock.ts";
import { describeError } from "./errors.ts";

/** What no change is taken without, as in `WriteFailure.what`. */
export const neededForChanges = { store: "its store", auditTrail: "its audit trail" } as const;

/** Where there is room for less than this, there is none: what would be refused again is not to be taken for room. */
export const writeTrialBytes = 64 * 1024;

/** Something that a process has to write and cannot, though it goes on. */
export interface WriteFailure {
  /** In words that end "cannot write …": "its audit trail". */
  readonly what: string;
  readonly reason: string;
  /** Wall-clock ms of the first try that failed. */
  readonly sinceMs: number;
}

/** What a process cannot write at present, for its status: whoever writes says here how it went. As many as there are things to write. */
export class WriteFailures {
  readonly #clock: Clock;
  readonly #failures = new Map<string, WriteFailure>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get current(): readonly WriteFailure[] {
    return [...this.#failures.values()];
  }

  has(what: string): boolean {
    return this.#failures.has(what);
  }

  failed(what: string, error: unknown): void {
    const sinceMs = this.#failures.get(what)?.sinceMs ?? Math.floor(this.#clock.nowMs());
    this.#failures.set(what, { what, reason: describeError(error), sinceMs });
  }

  wrote(what: string): void {
    this.#failures.delete(what);
  }
}
