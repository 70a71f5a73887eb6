import { Worker } from "node:worker_threads";
import { AtollError } from "#federation/runtime/errors.ts";
import { installedProgram } from "#federation/runtime/installation.ts";
import { SqliteEngine, type EngineReply, type EngineRequest } from "./sqlite-engine.ts";
import type { SqliteOrigin } from "./sqlite-files.ts";
import type { FromSqliteWorker, SqliteWorkerData, ToSqliteWorker } from "./sqlite-worker.ts";

/** Where the engine runs: on a thread of its own for a file, in place for `:memory:`. */
export interface SqliteRunner extends AsyncDisposable {
  readonly origin: SqliteOrigin;
  readonly movedAside: readonly string[];
  /** `onReplies` gets one reply per request, in order; one call at a time. */
  run(requests: readonly EngineRequest[], onReplies: (replies: readonly EngineReply[]) => void): void;
  /** Resolves with the reason when no backup could be written. */
  backup(): Promise<string | undefined>;
}

/** Runs the engine in place: nothing waits for a disk, and a seeded simulation stays in one thread. */
export function createInlineRunner(): SqliteRunner {
  const engine = new SqliteEngine(":memory:");
  return {
    origin: "new",
    movedAside: [],
    run: (requests, onReplies) => onReplies(engine.run(requests)),
    backup: () => Promise.resolve(undefined),
    [Symbol.asyncDispose]() {
      engine[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

/**
 * Starts a thread that owns the file at `path`.
 * @throws {ATOLL_STORE_UNAVAILABLE} when the file cannot be opened, or another process has it open.
 */
export async function openThreadRunner(path: string, nowMs: number): Promise<SqliteRunner> {
  const workerData: SqliteWorkerData = { path, nowMs };
  // The program's own flags (an --eval, an inspector's port) are not for this thread.
  const worker = new Worker(installedProgram("federation/store/sqlite-worker.ts"), { workerData, name: "sqlite", execArgv: [] });
  const exited = new Promise<void>((resolve) => {
    worker.once("exit", () => resolve());
  });
  const first = await new Promise<FromSqliteWorker>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  if (first.kind !== "opened") {
    await exited;
    const reason = first.kind === "refused" ? first.message : first.kind;
    const hint = reason.includes("locked") ? "another process has it open" : reason;
    throw new AtollError("ATOLL_STORE_UNAVAILABLE", `the store ${path} cannot be opened: ${hint}`);
  }
  return new ThreadRunner(worker, exited, first.origin, first.movedAside);
}

class ThreadRunner implements SqliteRunner {
  readonly origin: SqliteOrigin;
  readonly movedAside: readonly string[];
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #onReplies: ((replies: readonly EngineReply[]) => void) | undefined;
  #requestsInFlight = 0;
  #onBackedUp: ((failure: string | undefined) => void) | undefined;
  #failure: string | undefined;

  constructor(worker: Worker, exited: Promise<void>, origin: SqliteOrigin, movedAside: readonly string[]) {
    this.#worker = worker;
    this.#exited = exited;
    this.origin = origin;
    this.movedAside = movedAside;
    worker.on("message", (message: FromSqliteWorker) => this.#receive(message));
    worker.on("error", (error) => this.#fail(error.message));
    worker.on("exit", () => this.#fail("its thread has ended"));
    // An open store alone does not keep a process alive; whoever waits for an answer does, by its own work.
    worker.unref();
  }

  run(requests: readonly EngineRequest[], onReplies: (replies: readonly EngineReply[]) => void): void {
    this.#onReplies = onReplies;
    this.#requestsInFlight = requests.length;
    if (this.#failure === undefined) {
      this.#worker.ref();
      this.#post({ kind: "run", requests });
    } else {
      this.#fail(this.#failure);
    }
  }

  backup(): Promise<string | undefined> {
    if (this.#failure !== undefined) return Promise.resolve(this.#failure);
    return new Promise((resolve) => {
      this.#onBackedUp = resolve;
      this.#post({ kind: "backup" });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.ref();
    this.#post({ kind: "close" });
    await this.#exited;
  }

  #post(message: ToSqliteWorker): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    this.#worker.postMessage(message);
  }

  #receive(message: FromSqliteWorker): void {
    if (message.kind === "replies") this.#deliver(message.replies);
    else if (message.kind === "backedUp") this.#endBackup(message.failure);
  }

  #deliver(replies: readonly EngineReply[]): void {
    const onReplies = this.#onReplies;
    this.#onReplies = undefined;
    this.#worker.unref();
    onReplies?.(replies);
  }

  #endBackup(failure: string | undefined): void {
    const onBackedUp = this.#onBackedUp;
    this.#onBackedUp = undefined;
    onBackedUp?.(failure);
  }

  #fail(message: string): void {
    this.#failure ??= message;
    const failed: EngineReply = { kind: "failed", message: this.#failure, cause: "other" };
    if (this.#onReplies !== undefined) this.#deliver(Array.from({ length: this.#requestsInFlight }, () => failed));
    this.#endBackup(this.#failure);
  }
}
