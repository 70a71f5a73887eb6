import { statSync } from "node:fs";
import { backup, DatabaseSync, type StatementSync } from "node:sqlite";
import { turn } from "#federation/runtime/turns.ts";
import type { ListingPage } from "./paged-listing.ts";
import type { StoreCondition, StoreEntry, StoreEvent } from "./store.ts";

/** A write as it crosses to the engine's thread: the lease is only its id there. */
export type EngineWrite =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array; readonly leaseId: string | undefined }
  | { readonly kind: "delete"; readonly key: string };

export type EngineRequest =
  | { readonly kind: "get"; readonly key: string }
  /** One page of what begins with `prefix`, from its beginning or from behind a key. */
  | { readonly kind: "list"; readonly prefix: string; readonly after: string | undefined }
  | { readonly kind: "commit"; readonly conditions: readonly StoreCondition[]; readonly writes: readonly EngineWrite[] }
  /** Deletes every key of a lease that has ended. */
  | { readonly kind: "expire"; readonly leaseId: string }
  /** Proves that the engine answers, and brings its position into the file where that is behind. */
  | { readonly kind: "ping" };

export type EngineReply =
  | { readonly kind: "entry"; readonly entry: StoreEntry | undefined }
  | ({ readonly kind: "page" } & ListingPage)
  /** `isDurable` is false of one that wrote keys with leases alone, whose position is not in the file yet: a ping that is answered says that it is. */
  | { readonly kind: "committed"; readonly revision: number; readonly events: readonly StoreEvent[]; readonly isDurable: boolean }
  | { readonly kind: "conflict" }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string; readonly cause: "corrupt" | "unwritable" | "other" };

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly revision: number;
  readonly createRevision: number;
}

/** "Atol" in ASCII: marks the file as ours (`PRAGMA application_id`). */
const applicationId = 0x41_74_6f_6c;
const schemaVersion = 1;

/** A page of a listing ends after so many entries, or with the first by which it has so many bytes of values: it holds up whoever waits behind it. */
const pageEntriesMax = 500;
const pageBytes = 1024 * 1024;

/** Of the database's own pages, 4 KiB each: copied at a time, while the connection does nothing else. */
const copiedPages = 256;
/** A copy begins anew so often when it meets a write at its very beginning, where nothing is lost by it. */
const collisionsMax = 1_000;

const readingKinds: ReadonlySet<EngineRequest["kind"]> = new Set(["get", "list"]);

/** Codes of a file that can be read and takes nothing now: its disk is full, failing or read-only. */
const unwritableCodes: ReadonlySet<number> = new Set([8 /* SQLITE_READONLY */, 10 /* SQLITE_IOERR */, 13 /* SQLITE_FULL */, 14 /* SQLITE_CANTOPEN */]);

/** How long to wait for another process's lock before saying that the file is in use. */
const lockTimeoutMs = 500;

/** Codes that say "this is not a sound database of ours", as opposed to "this could not be done now". */
const corruptCodes: ReadonlySet<number> = new Set([11 /* SQLITE_CORRUPT */, 26 /* SQLITE_NOTADB */]);

/**
 * The synchronous half of the SQLite store: one connection, one file. Keys are BLOBs, so that they sort by bytes as
 * in etcd. A batch of requests is one SQLite transaction, so that writes that wait together share one fsync; each
 * still gets a revision of its own and is refused on its own.
 *
 * One process owns the file, and keys with a lease end with it: they are held in memory, so that a plane can lead, and answer from what it
 * reads, over a file that takes nothing.
 */
export class SqliteEngine implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #files: OpenedFiles;
  #revision: number;
  /** The one that the file holds. */
  #durableRevision: number;

  /** @throws SQLite's own error when the file is locked, not a database, or not ours. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: lockTimeoutMs });
    this.#files = new OpenedFiles(path === ":memory:" ? [] : [path, `${path}-wal`]);
    try {
      openSchema(this.#database);
      this.#statements = prepareStatements(this.#database);
      this.#revision = Number(this.#statements.readRevision.get()?.["value"] ?? 1);
      this.#durableRevision = this.#revision;
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get revision(): number {
    return this.#revision;
  }

  /** Replies in the order of `requests`. Replies to writes mean: durable, but where they say otherwise. Never throws. */
  run(requests: readonly EngineRequest[]): readonly EngineReply[] {
    try {
      return this.#transact(requests, { isDurable: true });
    } catch (error) {
      if (!isUnwritable(error)) return requests.map(() => asFailure(error));
      if (requests.every(isHeld)) return this.#hold(requests);
      // Whoever reads does not wait for a disk along with those who write.
      return requests.map((request) => (readingKinds.has(request.kind) ? this.#read(request) : asFailure(error)));
    }
  }

  #hold(requests: readonly EngineRequest[]): readonly EngineReply[] {
    try {
      return this.#transact(requests, { isDurable: false });
    } catch (error) {
      return requests.map(() => asFailure(error));
    }
  }

  #read(request: EngineRequest): EngineReply {
    try {
      return this.#one(request);
    } catch (error) {
      return asFailure(error);
    }
  }

  /** What is not to be durable is in memory alone, and the file is not touched. */
  #transact(requests: readonly EngineRequest[], { isDurable }: { readonly isDurable: boolean }): readonly EngineReply[] {
    const revisionBefore = this.#revision;
    try {
      // Nobody else writes into the file: what is only read needs no transaction.
      const isWriting = !requests.every(({ kind }) => readingKinds.has(kind));
      if (isWriting && isDurable) this.#files.check();
      if (isWriting) this.#statements[isDurable ? "begin" : "beginHeld"].run();
      const replies = requests.map((request) => this.#one(request));
      const isBehind = this.#revision !== this.#durableRevision;
      if (isWriting && isBehind && isDurable) this.#statements.writeRevision.run(this.#revision);
      if (isWriting) this.#statements.commit.run();
      if (isWriting && isDurable) this.#durableRevision = this.#revision;
      return isDurable ? replies : replies.map((reply) => (reply.kind === "committed" ? { ...reply, isDurable: false } : reply));
    } catch (error) {
      this.#revision = revisionBefore;
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /**
   * Writes a copy of the database to `path`, which must not exist, in steps between which requests are run; what they write is in it, too.
   * @throws SQLite's own error, or the reason of `signal`, which is looked at after each step.
   */
  async copyTo(path: string, signal: AbortSignal): Promise<void> {
    for (let collisions = 0; ; collisions++) {
      try {
        await backup(this.#database, path, { rate: copiedPages, progress: () => signal.throwIfAborted() });
        return;
      } catch (error) {
        if (!isCollision(error) || collisions === collisionsMax) throw error;
      }
      await turn();
      signal.throwIfAborted();
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #one(request: EngineRequest): EngineReply {
    switch (request.kind) {
      case "get":
        return { kind: "entry", entry: this.#get(request.key) };
      case "list":
        return this.#page(request.prefix, request.after);
      case "commit":
        return this.#commit(request.conditions, request.writes);
      case "expire":
        return this.#expire(request.leaseId);
      case "ping":
      default:
        return done;
    }
  }

  #get(key: string): StoreEntry | undefined {
    const bytes = Buffer.from(key);
    const row = (this.#statements.get.get(bytes) ?? this.#statements.getLeased.get(bytes)) as unknown as Row | undefined;
    return row === undefined ? undefined : entryOf(row);
  }

  #page(prefix: string, after: string | undefined): EngineReply {
    // The least key behind another one has a zero more. UTF-8 has no byte 0xff, so the last byte can always be raised by one.
    const start = Buffer.from(after === undefined ? prefix : `${after}\0`);
    const end = prefix === "" ? Buffer.from([0xff]) : Buffer.from(prefix);
    if (prefix !== "") end[end.length - 1] = (end.at(-1) ?? 0) + 1;
    const entries: StoreEntry[] = [];
    let bytes = 0;
    for (const row of this.#statements.list.iterate(start, end, start, end)) {
      if (entries.length === pageEntriesMax || bytes >= pageBytes) return { kind: "page", revision: this.#revision, entries, isLast: false };
      const entry = entryOf(row as unknown as Row);
      entries.push(entry);
      bytes += entry.value.byteLength;
    }
    return { kind: "page", revision: this.#revision, entries, isLast: true };
  }

  #commit(conditions: readonly StoreCondition[], writes: readonly EngineWrite[]): EngineReply {
    if (!conditions.every((condition) => holds(condition, this.#get(condition.key)))) return { kind: "conflict" };
    const revision = this.#revision + 1;
    const events: StoreEvent[] = [];
    for (const write of writes) {
      if (write.kind === "put") events.push({ kind: "put", entry: this.#put(write, revision) });
      else if (this.#remove(Buffer.from(write.key))) events.push({ kind: "delete", key: write.key, revision });
    }
    if (events.length > 0) this.#revision = revision;
    return { kind: "committed", revision: this.#revision, events, isDurable: true };
  }

  #put(write: Extract<EngineWrite, { kind: "put" }>, revision: number): StoreEntry {
    const createRevision = this.#get(write.key)?.createRevision ?? revision;
    const key = Buffer.from(write.key);
    if (write.leaseId === undefined) {
      this.#statements.removeLeased.run(key);
      this.#statements.put.run(key, write.value, revision, createRevision);
    } else {
      this.#statements.remove.run(key);
      this.#statements.putLeased.run(key, write.value, revision, createRevision, write.leaseId);
    }
    return { key: write.key, value: write.value, revision, createRevision };
  }

  #expire(leaseId: string): EngineReply {
    const keys = (this.#statements.keysOfLease.all(leaseId) as unknown as readonly Row[]).map((row) => Buffer.from(row.key).toString());
    return this.#commit([], keys.map((key) => ({ kind: "delete", key })));
  }

  #remove(key: Uint8Array): boolean {
    const { changes } = this.#statements.remove.run(key);
    return Number(changes) + Number(this.#statements.removeLeased.run(key).changes) > 0;
  }
}

/** Writes nothing but keys with leases, and asks for nothing to be on the disk. */
function isHeld(request: EngineRequest): boolean {
  if (request.kind === "commit") return request.writes.every((write) => write.kind === "put" && write.leaseId !== undefined);
  return request.kind === "expire" || readingKinds.has(request.kind);
}

const done: EngineReply = { kind: "done" };

/**
 * True where the first step of a copy met a transaction. Steps are made on another thread; one that cannot have the connection is made again
 * by node:sqlite (24.21), but for the first, for which it fails with the code of no error.
 */
function isCollision(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 0;
}

/** True when `error` came from SQLite and means that the file itself is not sound. */
export function isCorruption(error: unknown): boolean {
  return error instanceof UnsoundDatabase || (error instanceof Error && "errcode" in error && corruptCodes.has(Number(error.errcode) & 0xff));
}

/** Somebody has removed a file under us, or put another in its place: what is written goes where nobody finds it again. */
class LostFile extends Error {}

/** The files of a database by what they are and not by their names; the first look at each says which one it is. */
class OpenedFiles {
  readonly #paths: readonly string[];
  readonly #seen = new Map<string, string>();

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  /** @throws {LostFile} */
  check(): void {
    for (const path of this.#paths) {
      const stat = statSync(path, { throwIfNoEntry: false });
      const found = stat === undefined ? undefined : `${stat.dev}/${stat.ino}`;
      const seen = this.#seen.get(path);
      if (seen === undefined) {
        if (found !== undefined) this.#seen.set(path, found);
      } else if (found !== seen) {
        throw new LostFile(`${path} has been ${found === undefined ? "removed" : "exchanged"} under this process, which goes on with what it knows: put it back, or make a backup of this plane and start it again`);
      }
    }
  }
}

function isUnwritable(error: unknown): boolean {
  if (error instanceof LostFile) return true;
  return error instanceof Error && "errcode" in error && unwritableCodes.has(Number(error.errcode) & 0xff);
}

/** The file is a sound database but not one of this store, or its pages contradict each other. */
class UnsoundDatabase extends Error {}

function asFailure(error: unknown): EngineReply {
  return { kind: "failed", message: error instanceof Error ? error.message : String(error), cause: isCorruption(error) ? "corrupt" : isUnwritable(error) ? "unwritable" : "other" };
}

function openSchema(database: DatabaseSync): void {
  // EXCLUSIVE keeps a second process out for as long as this one lives; the kernel lifts the lock at kill -9.
  database.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  const found = database.prepare("PRAGMA application_id").get()?.["application_id"];
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
  if (found !== applicationId && tables !== 0) throw new UnsoundDatabase("the file is a database of another program");
  const check = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (check !== "ok") throw new UnsoundDatabase(`the check of the file failed: ${String(check)}`);
  const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version > schemaVersion) throw new Error(`the file has schema version ${version}; this program knows ${schemaVersion}`);
  // Only a new file is written to at opening: one that is there can be read whatever its disk takes.
  if (version < schemaVersion) {
    database.exec(`
      BEGIN IMMEDIATE;
      PRAGMA application_id=${applicationId};
      PRAGMA user_version=${schemaVersion};
      CREATE TABLE IF NOT EXISTS entry (
        key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, create_revision INTEGER NOT NULL, lease TEXT
      ) STRICT;
      CREATE INDEX IF NOT EXISTS entry_of_lease ON entry (lease) WHERE lease IS NOT NULL;
      CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
      COMMIT`);
  }
  database.exec(`
    PRAGMA temp_store=MEMORY;
    CREATE TEMP TABLE leased (
      key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, create_revision INTEGER NOT NULL, lease TEXT NOT NULL
    ) STRICT`);
}

function holds({ kind, revision }: StoreCondition, entry: StoreEntry | undefined): boolean {
  switch (kind) {
    case "revision":
      return (entry?.revision ?? 0) === revision;
    case "revisionFrom":
      return (entry?.revision ?? 0) >= revision;
    case "createRevision":
    default:
      return (entry?.createRevision ?? 0) === revision;
  }
}

function prepareStatements(database: DatabaseSync): Readonly<
  Record<"begin" | "beginHeld" | "commit" | "get" | "getLeased" | "list" | "put" | "putLeased" | "remove" | "removeLeased" | "keysOfLease" | "readRevision" | "writeRevision", StatementSync>
> {
  const columns = "key, value, revision, create_revision AS createRevision";
  return {
    begin: database.prepare("BEGIN IMMEDIATE"),
    beginHeld: database.prepare("BEGIN"),
    commit: database.prepare("COMMIT"),
    // Versions before this one kept keys with leases in the file: of a process that is over.
    get: database.prepare(`SELECT ${columns} FROM main.entry WHERE key = ? AND lease IS NULL`),
    getLeased: database.prepare(`SELECT ${columns} FROM temp.leased WHERE key = ?`),
    list: database.prepare(`
      SELECT ${columns} FROM main.entry WHERE key >= ? AND key < ? AND lease IS NULL
      UNION ALL SELECT ${columns} FROM temp.leased WHERE key >= ? AND key < ? ORDER BY key`),
    put: database.prepare("INSERT OR REPLACE INTO main.entry (key, value, revision, create_revision, lease) VALUES (?, ?, ?, ?, NULL)"),
    putLeased: database.prepare("INSERT OR REPLACE INTO temp.leased (key, value, revision, create_revision, lease) VALUES (?, ?, ?, ?, ?)"),
    remove: database.prepare("DELETE FROM main.entry WHERE key = ? AND lease IS NULL"),
    removeLeased: database.prepare("DELETE FROM temp.leased WHERE key = ?"),
    keysOfLease: database.prepare("SELECT key FROM temp.leased WHERE lease = ? ORDER BY key"),
    readRevision: database.prepare("SELECT value FROM meta WHERE name = 'revision'"),
    writeRevision: database.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('revision', ?)"),
  };
}

function entryOf(row: Row): StoreEntry {
  return { key: Buffer.from(row.key).toString(), value: row.value, revision: row.revision, createRevision: row.createRevision };
}
