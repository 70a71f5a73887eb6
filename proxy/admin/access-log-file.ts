import { close, open, write } from "node:fs";
import type { Clock } from "#federation/runtime/clock.ts";
import { writeAgainMs } from "#federation/runtime/kept-write.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { AccessLogSink } from "../http/access-log.ts";

/** Characters that may wait for the disk; lines beyond it are dropped and counted, since requests must not wait. */
export const accessLogHeldMax = 8 * 1024 * 1024;

/** What has come together in so long, or so many characters, is written at once. */
const flushMs = 200;
const flushLength = 64 * 1024;

export interface AccessLogFileOptions {
  readonly clock: Clock;
  readonly logger: Pick<Logger, "info" | "error">;
  /** As `accessLogHeldMax` unless told. */
  readonly heldMax?: number;
}

/**
 * Appends access log lines to a file without ever waiting for it: one write is under way at a time, the rest is held up to a bound, and lines
 * beyond it are dropped and counted. A file that cannot be opened or written is tried again, and stands in the way of nothing else.
 */
export class AccessLogFile implements AccessLogSink, AsyncDisposable {
  readonly #path: string;
  readonly #options: AccessLogFileOptions;
  readonly #heldMax: number;
  #file: number | undefined;
  /** What is being written, or could not be and is tried again. */
  #begun: { readonly bytes: Buffer; readonly lines: number } | undefined;
  #held: string[] = [];
  #heldLength = 0;
  #isWriting = false;
  #isClosing = false;
  #timer: Disposable | undefined;
  #whenIdle: (() => void) | undefined;
  #failure: string | undefined;
  /** Lines that did not fit, or that the disk refused to the end. */
  dropped = 0;

  private constructor(path: string, options: AccessLogFileOptions) {
    this.#path = path;
    this.#options = options;
    this.#heldMax = options.heldMax ?? accessLogHeldMax;
  }

  /** Opens `path` for appending, mode 0600: lines name callers. */
  static async open(path: string, options: AccessLogFileOptions): Promise<AccessLogFile> {
    const log = new AccessLogFile(path, options);
    await new Promise<void>((resolve) => log.#open(() => resolve()));
    return log;
  }

  /** Why the newest lines could not be written; undefined while they can. */
  get failure(): string | undefined {
    return this.#failure;
  }

  write(line: string): void {
    if (this.#heldLength + line.length > this.#heldMax) {
      this.dropped++;
      return;
    }
    this.#held.push(line);
    this.#heldLength += line.length;
    // While the file takes nothing its own timer tries again.
    if (this.#begun !== undefined) return;
    if (this.#heldLength >= flushLength) this.#flush();
    else this.#timer ??= this.#options.clock.schedule(flushMs, () => this.#flush());
  }

  /** Writes what is held, as far as the disk takes it, then closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    this.#flush();
    if (this.#isWriting) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    const file = this.#file;
    if (file !== undefined) await new Promise<void>((resolve) => close(file, () => resolve()));
  }

  #flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (this.#isWriting) return;
    if (this.#begun === undefined) {
      if (this.#held.length === 0) return;
      this.#begun = { bytes: Buffer.from(this.#held.join("")), lines: this.#held.length };
      this.#held = [];
      this.#heldLength = 0;
    }
    const { bytes, lines } = this.#begun;
    this.#isWriting = true;
    if (this.#file === undefined) this.#open((file) => this.#writeAll(file, bytes, lines));
    else this.#writeAll(this.#file, bytes, lines);
  }

  /** Goes on with undefined where there is no file. */
  #open(then: (file: number | undefined) => void): void {
    open(this.#path, "a", 0o600, (error, file) => {
      if (error !== null) this.#failed(error);
      this.#file = error === null ? file : undefined;
      then(this.#file);
    });
  }

  #writeAll(file: number | undefined, bytes: Buffer, lines: number): void {
    if (file === undefined) {
      this.#endWith({ bytes, lines });
      return;
    }
    write(file, bytes, (error, written) => {
      if (error !== null) {
        this.#failed(error);
        this.#endWith({ bytes, lines });
      } else if (written < bytes.length) {
        this.#writeAll(file, bytes.subarray(written), lines);
      } else {
        this.#succeeded();
        this.#endWith(undefined);
      }
    });
  }

  #endWith(left: { readonly bytes: Buffer; readonly lines: number } | undefined): void {
    this.#begun = left;
    this.#isWriting = false;
    if (left !== undefined && !this.#isClosing) {
      this.#timer ??= this.#options.clock.schedule(writeAgainMs, () => this.#flush());
    } else if (left === undefined && this.#held.length > 0) {
      this.#flush();
    } else {
      this.dropped += (left?.lines ?? 0) + (left === undefined ? 0 : this.#held.length);
      this.#whenIdle?.();
    }
  }

  #failed(error: Error): void {
    if (this.#failure === undefined) this.#options.logger.error("The access log cannot be written; it is tried again, and lines that find no room meanwhile are dropped and counted.", { file: this.#path, reason: error.message });
    this.#failure = error.message;
  }

  #succeeded(): void {
    if (this.#failure !== undefined) this.#options.logger.info("The access log is written again.", { file: this.#path, dropped: this.dropped });
    this.#failure = undefined;
  }
}
