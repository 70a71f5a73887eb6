import { parentPort, workerData } from "node:worker_threads";
import type { EngineReply, EngineRequest } from "./sqlite-engine.ts";
import { openEngineFile, writeBackup, type SqliteOrigin } from "./sqlite-files.ts";

/** What the thread is started with. */
export interface SqliteWorkerData {
  readonly path: string;
  readonly nowMs: number;
}

/** To the thread: a batch for the engine, or work on the file. */
export type ToSqliteWorker = { readonly kind: "run"; readonly requests: readonly EngineRequest[] } | { readonly kind: "backup" } | { readonly kind: "close" };

/** From the thread. "opened" or "refused" comes first and once; each "run" is answered in order, and goes on during a "backup", of which there is one at a time. */
export type FromSqliteWorker =
  | { readonly kind: "opened"; readonly origin: SqliteOrigin; readonly movedAside: readonly string[]; readonly revision: number }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "replies"; readonly replies: readonly EngineReply[] }
  | { readonly kind: "backedUp"; readonly failure: string | undefined };

// This file is the thread's program: SQLite's calls and its fsyncs block here and not in the process's event loop.
const port = parentPort;
if (port === null) throw new Error("sqlite-worker.ts runs only as a worker thread");
const { path, nowMs } = workerData as SqliteWorkerData;
const send = (message: FromSqliteWorker): void => port.postMessage(message);

try {
  const { engine, origin, movedAside } = openEngineFile(path, nowMs);
  send({ kind: "opened", origin, movedAside, revision: engine.revision });
  const closing = new AbortController();
  let copying: Promise<unknown> = Promise.resolve();
  const close = async (): Promise<void> => {
    closing.abort(new Error("the store is closed"));
    await copying;
    engine[Symbol.dispose]();
    port.close();
  };
  port.on("message", (message: ToSqliteWorker) => {
    switch (message.kind) {
      case "run":
        send({ kind: "replies", replies: engine.run(message.requests) });
        break;
      case "backup":
        copying = writeBackup(engine, path, closing.signal).then(
          () => send({ kind: "backedUp", failure: undefined }),
          (error: unknown) => send({ kind: "backedUp", failure: error instanceof Error ? error.message : String(error) }),
        );
        break;
      case "close":
        void close();
        break;
    }
  });
} catch (error) {
  send({ kind: "refused", message: error instanceof Error ? error.message : String(error) });
  port.close();
}
