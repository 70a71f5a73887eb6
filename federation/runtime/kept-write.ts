import type { Clock } from "./clock.ts";
import { describeError } from "./errors.ts";
import type { WriteFailures } from "./write-failures.ts";

/** Between two tries to write what could not be written, in ms. */
export const writeAgainMs = 5_000;

export interface KeptWriteOptions<T> {
  readonly write: (value: T) => Promise<void>;
  /** What is written, as the log begins its sentence. */
  readonly what: string;
  /** Is told of what cannot be written. */
  readonly failures?: WriteFailures;
  readonly clock: Clock;
  readonly logger: Record<"info" | "error", (message: string, fields?: Readonly<Record<string, unknown>>) => void>;
}

/**
 * Keeps the newest of something on the disk, for whoever goes on without it while the disk takes nothing: what could not be written is
 * tried again until it could, or something newer was. One write at a time; of what comes meanwhile the last is written.
 */
export class KeptWrite<T> implements AsyncDisposable {
  readonly #options: KeptWriteOptions<T>;
  #wanted: { readonly value: T } | undefined;
  #writing: Promise<void> | undefined;
  #again: Disposable | undefined;
  #failure: string | undefined;

  constructor(options: KeptWriteOptions<T>) {
    this.#options = options;
  }

  /** Why the newest could not be written; undefined while it is there. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Resolves when `value` has been tried, or overtaken; it never rejects. */
  put(value: T): Promise<void> {
    this.#wanted = { value };
    return this.#write();
  }

  /** Tries once more what could not be written, and no more after that. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#write();
    this.#again?.[Symbol.dispose]();
  }

  #write(): Promise<void> {
    this.#again?.[Symbol.dispose]();
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    const { clock, logger, what, write, failures } = this.#options;
    for (let wanted = this.#wanted; wanted !== undefined; wanted = this.#wanted) {
      try {
        await write(wanted.value);
        if (this.#failure !== undefined) logger.info(`${what} was written at last.`);
        this.#failure = undefined;
        failures?.wrote(what);
        if (this.#wanted === wanted) this.#wanted = undefined;
      } catch (error) {
        // Something newer came meanwhile: that is tried at once.
        if (this.#wanted !== wanted) continue;
        if (this.#failure === undefined) logger.error(`${what} could not be written; it is tried again, and a restart would begin with what was written before.`, { reason: describeError(error) });
        this.#failure = describeError(error);
        failures?.failed(what, error);
        this.#again = clock.schedule(writeAgainMs, () => void this.#write());
        return;
      }
    }
  }
}
