import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { isMissing } from "#federation/runtime/missing-file.ts";

/** Lines of one write at most: some 100 KB. */
const batchLinesMax = 256;
/** Lines that wait for their turn; one more is refused. Four times what an admin API's connections can ask for at once. */
const waitingMax = 4_096;

/** The files that lines go to: the newest first, as many as are kept. */
export interface AuditLinesOptions {
  readonly paths: readonly string[];
  /** Of the newest file, before the next begins. */
  readonly fileBytes: number;
  /** Of the last line that is there. */
  readonly sequence: number;
  /** The last line that is there has no end. */
  readonly isTorn: boolean;
}

interface WaitingLine {
  readonly fields: object;
  readonly isDurable: boolean;
  readonly resolve: (sequence: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Numbered lines, without a gap, at the end of a file that only its owner may read. A disk syncs some hundred times a second, whatever is in
 * it; so what comes while one sync is under way goes to the disk together by the next. Of a write that fails nothing stays.
 */
export class AuditLines implements AsyncDisposable {
  readonly #paths: readonly string[];
  readonly #fileBytes: number;
  #handle: FileHandle;
  #size: number;
  #sequence: number;
  #isTorn: boolean;
  #waiting: WaitingLine[] = [];
  #writing: Promise<void> | undefined;

  private constructor(options: AuditLinesOptions, file: { readonly handle: FileHandle; readonly size: number }) {
    this.#paths = options.paths;
    this.#fileBytes = options.fileBytes;
    this.#handle = file.handle;
    this.#size = file.size;
    this.#sequence = options.sequence;
    this.#isTorn = options.isTorn;
  }

  static async open(options: AuditLinesOptions): Promise<AuditLines> {
    const handle = await open(options.paths[0] ?? "", "a", 0o600);
    return new AuditLines(options, { handle, size: (await handle.stat()).size });
  }

  /** Resolves with the line's number, once it is on the disk where it is to be durable. */
  write(fields: object, isDurable: boolean): Promise<number> {
    if (this.#waiting.length >= waitingMax) return Promise.reject(new Error(`${waitingMax} lines wait to be written already`));
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.push({ fields, isDurable, resolve, reject });
    this.#writing ??= this.#writeAll();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#handle.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, batchLinesMax);
      try {
        await this.#writeBatch(batch);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#writing = undefined;
  }

  async #writeBatch(batch: readonly WaitingLine[]): Promise<void> {
    await this.#returnToPath();
    if (this.#size >= this.#fileBytes) await this.#rotate();
    const first = this.#sequence + 1;
    const lines = batch.map(({ fields }, at) => `${JSON.stringify({ sequence: first + at, ...fields })}\n`);
    const text = Buffer.from(`${this.#isTorn ? "\n" : ""}${lines.join("")}`);
    try {
      await this.#handle.appendFile(text);
    } catch (error) {
      await this.#takeBack();
      throw error;
    }
    this.#size += text.length;
    this.#sequence += batch.length;
    this.#isTorn = false;
    // Who does not wait for the disk goes on here, whatever becomes of the sync.
    batch.forEach(({ isDurable, resolve }, at) => isDurable || resolve(first + at));
    if (batch.some(({ isDurable }) => isDurable)) await this.#handle.sync();
    batch.forEach(({ resolve }, at) => resolve(first + at));
  }

  /** A file that somebody has removed takes lines that nobody can read: another one begins in its place. */
  async #returnToPath(): Promise<void> {
    const { nlink } = await this.#handle.stat();
    if (nlink > 0) return;
    const [path = ""] = this.#paths;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await this.#take(await open(path, "a", 0o600));
  }

  /** A disk that is full keeps the first half of what it was given. */
  async #takeBack(): Promise<void> {
    try {
      await this.#handle.truncate(this.#size);
    } catch {
      this.#isTorn = true;
    }
  }

  /** Moves each file one further, drops the oldest, begins a new one. */
  async #rotate(): Promise<void> {
    const paths = this.#paths;
    await rm(paths.at(-1) ?? "", { force: true });
    for (let at = paths.length - 2; at >= 0; at--) {
      await rename(paths[at] ?? "", paths[at + 1] ?? "").catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
    }
    await this.#take(await open(paths[0] ?? "", "a", 0o600));
  }

  async #take(next: FileHandle): Promise<void> {
    await this.#handle.close();
    this.#handle = next;
    this.#size = (await next.stat()).size;
    this.#isTorn = false;
  }
}
