import { parentPort, workerData } from "node:worker_threads";
import type { EngineReply, EngineRequest } from "./sqlite-engine.ts";
import type { StoreEntry } from "./store.ts";
import { openEngineFile, writeBackup, type SqliteOrigin } from "./sqlite-files.ts";

/** What the thread is started with. */
export interface SqliteWorkerData {
  readonly path: string;
  readonly nowMs: number;
}

/** To the thread: a batch for the engine, what is left of its listings, or work on the file. */
export type ToSqliteWorker = { readonly kind: "run"; readonly requests: readonly EngineRequest[] } | { readonly kind: "more" } | { readonly kind: "backup" } | { readonly kind: "close" };

/**
 * From the thread. "opened" or "refused" comes first and once; each "run" and "backup" is answered in order. Of a long listing the replies
 * hold the beginning; `left` says for how many pages more is asked, each of them of one reply: whoever reads a message reads all of it at once.
 */
export type FromSqliteWorker =
  | { readonly kind: "opened"; readonly origin: SqliteOrigin; readonly movedAside: readonly string[]; readonly revision: number }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "replies"; readonly replies: readonly EngineReply[]; readonly left: number }
  | { readonly kind: "page"; readonly of: number; readonly entries: readonly StoreEntry[] }
  | { readonly kind: "backedUp"; readonly failure: string | undefined };

/** Entries of a listing in one message. */
const pageEntries = 256;

// This file is the thread's program: SQLite's calls and its fsyncs block here and not in the process's event loop.
const port = parentPort;
if (port === null) throw new Error("sqlite-worker.ts runs only as a worker thread");
const { path, nowMs } = workerData as SqliteWorkerData;
const send = (message: FromSqliteWorker): void => port.postMessage(message);

try {
  const { engine, origin, movedAside } = openEngineFile(path, nowMs);
  send({ kind: "opened", origin, movedAside, revision: engine.revision });
  let pages: { readonly of: number; readonly entries: readonly StoreEntry[] }[] = [];
  port.on("message", (message: ToSqliteWorker) => {
    switch (message.kind) {
      case "run":
        pages = [];
        send({ kind: "replies", replies: engine.run(message.requests).map(beginning), left: pages.length });
        break;
      case "more": {
        const page = pages.shift();
        if (page !== undefined) send({ kind: "page", ...page });
        break;
      }
      case "backup":
        send({ kind: "backedUp", failure: backup() });
        break;
      case "close":
        engine[Symbol.dispose]();
        port.close();
        break;
    }
  });
  const beginning = (reply: EngineReply, of: number): EngineReply => {
    if (reply.kind !== "listing") return reply;
    const { entries, revision } = reply.listing;
    for (let at = pageEntries; at < entries.length; at += pageEntries) pages.push({ of, entries: entries.slice(at, at + pageEntries) });
    return { kind: "listing", listing: { entries: entries.slice(0, pageEntries), revision } };
  };
  const backup = (): string | undefined => {
    try {
      const reply = writeBackup(engine, path);
      return reply.kind === "failed" ? reply.message : undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
} catch (error) {
  send({ kind: "refused", message: error instanceof Error ? error.message : String(error) });
  port.close();
}
