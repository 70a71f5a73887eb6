import { close, open, write } from "node:fs";
import type { Clock } from "#federation/runtime/clock.ts";
import type { AccessLogSink } from "../http/access-log.ts";

/** Characters that may wait for the disk; lines beyond it are dropped and counted, since requests must not wait. */
export const accessLogHeldMax = 8 * 1024 * 1024;

/** What has come together in so long, or so many characters, is written at once. */
const flushMs = 200;
const flushLength = 64 * 1024;

/** Appends access log lines to a file without ever waiting for it: one write is under way at a time, the rest is held up to a bound. */
export class AccessLogFile implements AccessLogSink, AsyncDisposable {
  readonly #file: number;
  readonly #clock: Clock;
  readonly #heldMax: number;
  #held: string[] = [];
  #heldLength = 0;
  #writing = false;
  #timer: Disposable | undefined;
  #whenIdle: (() => void) | undefined;
  /** Lines that did not fit, or that the disk refused. */
  dropped = 0;

  private constructor(file: number, clock: Clock, heldMax: number) {
    this.#file = file;
    this.#clock = clock;
    this.#heldMax = heldMax;
  }

  /** Opens `path` for appending, mode 0600: lines name callers. Rejects with the platform's error. */
  static open(path: string, clock: Clock, heldMax = accessLogHeldMax): Promise<AccessLogFile> {
    return new Promise((resolve, reject) => {
      open(path, "a", 0o600, (error, file) => (error === null ? resolve(new AccessLogFile(file, clock, heldMax)) : reject(error)));
    });
  }

  write(line: string): void {
    if (this.#heldLength + line.length > this.#heldMax) {
      this.dropped++;
      return;
    }
    this.#held.push(line);
    this.#heldLength += line.length;
    if (this.#heldLength >= flushLength) this.#flush();
    else this.#timer ??= this.#clock.schedule(flushMs, () => this.#flush());
  }

  /** Writes what is held, then closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#flush();
    if (this.#writing) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await new Promise<void>((resolve) => close(this.#file, () => resolve()));
  }

  #flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (this.#writing || this.#held.length === 0) return;
    const lines = this.#held;
    this.#held = [];
    this.#heldLength = 0;
    this.#writing = true;
    this.#writeAll(Buffer.from(lines.join("")), lines.length);
  }

  #writeAll(bytes: Buffer, lines: number): void {
    write(this.#file, bytes, (error, written) => {
      if (error !== null) this.dropped += lines;
      else if (written < bytes.length) {
        this.#writeAll(bytes.subarray(written), lines);
        return;
      }
      this.#writing = false;
      if (this.#held.length > 0) this.#flush();
      else this.#whenIdle?.();
    });
  }
}
