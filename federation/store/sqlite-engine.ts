import { DatabaseSync, type StatementSync } from "node:sqlite";
import { LongListings, type ListingBegun, type ListingPage } from "./sqlite-listings.ts";
import type { StoreCondition, StoreEntry, StoreEvent } from "./store.ts";

/** A write as it crosses to the engine's thread: the lease is only its id there. */
export type EngineWrite =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array; readonly leaseId: string | undefined }
  | { readonly kind: "delete"; readonly key: string };

export type EngineRequest =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "list"; readonly prefix: string }
  /** What follows in a listing that has a rest. Whoever wants no more of one drops it. */
  | { readonly kind: "page"; readonly listing: number }
  | { readonly kind: "drop"; readonly listing: number }
  | { readonly kind: "commit"; readonly conditions: readonly StoreCondition[]; readonly writes: readonly EngineWrite[] }
  /** Deletes every key of a lease that has ended. */
  | { readonly kind: "expire"; readonly leaseId: string }
  /** Proves that the engine answers. */
  | { readonly kind: "ping" }
  /** Writes a copy of the database to `path`, which must not exist. */
  | { readonly kind: "copy"; readonly path: string };

export type EngineReply =
  | { readonly kind: "entry"; readonly entry: StoreEntry | undefined }
  | ({ readonly kind: "listing"; readonly revision: number } & ListingBegun)
  | ({ readonly kind: "page" } & ListingPage)
  | { readonly kind: "committed"; readonly revision: number; readonly events: readonly StoreEvent[] }
  | { readonly kind: "conflict" }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string; readonly isCorrupt: boolean };

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly revision: number;
  readonly createRevision: number;
}

/** "Atol" in ASCII: marks the file as ours (`PRAGMA application_id`). */
const applicationId = 0x41_74_6f_6c;
const schemaVersion = 1;

/** How long to wait for another process's lock before saying that the file is in use. */
const lockTimeoutMs = 500;

/** Codes that say "this is not a sound database of ours", as opposed to "this could not be done now". */
const corruptCodes: ReadonlySet<number> = new Set([11 /* SQLITE_CORRUPT */, 26 /* SQLITE_NOTADB */]);

/**
 * The synchronous half of the SQLite store: one connection, one file. Keys are BLOBs, so that they sort by bytes as
 * in etcd. A batch of requests is one SQLite transaction, so that writes that wait together share one fsync; each
 * still gets a revision of its own and is refused on its own.
 */
export class SqliteEngine implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #listings = new LongListings();
  #revision: number;

  /** @throws SQLite's own error when the file is locked, not a database, or not ours. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: lockTimeoutMs });
    try {
      openSchema(this.#database);
      this.#statements = prepareStatements(this.#database);
      this.#revision = Number(this.#statements.readRevision.get()?.["value"] ?? 1);
      this.#dropOrphans();
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get revision(): number {
    return this.#revision;
  }

  /** Replies in the order of `requests`. Replies to writes mean: durable. Never throws. */
  run(requests: readonly EngineRequest[]): readonly EngineReply[] {
    const revisionBefore = this.#revision;
    const listingBefore = this.#listings.next;
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const replies = requests.map((request) => (request.kind === "copy" ? done : this.#one(request)));
      if (this.#revision !== revisionBefore) this.#statements.writeRevision.run(this.#revision);
      this.#database.exec("COMMIT");
      return requests.map((request, index) => (request.kind === "copy" ? this.#copy(request.path) : (replies[index] ?? done)));
    } catch (error) {
      this.#revision = revisionBefore;
      this.#listings.dropFrom(listingBefore);
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      const failed = asFailure(error);
      return requests.map(() => failed);
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #one(request: Exclude<EngineRequest, { kind: "copy" }>): EngineReply {
    switch (request.kind) {
      case "get":
        return { kind: "entry", entry: this.#get(request.key) };
      case "list":
        return { kind: "listing", revision: this.#revision, ...this.#listings.begin(this.#list(request.prefix)) };
      case "page":
        return this.#page(request.listing);
      case "drop":
        this.#listings.drop(request.listing);
        return done;
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
    const row = this.#statements.get.get(Buffer.from(key)) as unknown as Row | undefined;
    return row === undefined ? undefined : entryOf(row);
  }

  #page(listing: number): EngineReply {
    const page = this.#listings.page(listing);
    return page === undefined ? { kind: "failed", message: "the listing was given up", isCorrupt: false } : { kind: "page", ...page };
  }

  #list(prefix: string): readonly StoreEntry[] {
    const start = Buffer.from(prefix);
    // UTF-8 has no byte 0xff, so the last byte can always be raised by one.
    const end = Buffer.from(start);
    if (end.length > 0) end[end.length - 1] = (end.at(-1) ?? 0) + 1;
    const rows = prefix === "" ? this.#statements.listAll.all() : this.#statements.list.all(start, end);
    return (rows as unknown as readonly Row[]).map(entryOf);
  }

  #commit(conditions: readonly StoreCondition[], writes: readonly EngineWrite[]): EngineReply {
    if (!conditions.every((condition) => holds(condition, this.#get(condition.key)))) return { kind: "conflict" };
    const revision = this.#revision + 1;
    const events: StoreEvent[] = [];
    for (const write of writes) {
      if (write.kind === "put") events.push({ kind: "put", entry: this.#put(write, revision) });
      else if (this.#statements.remove.run(Buffer.from(write.key)).changes > 0) events.push({ kind: "delete", key: write.key, revision });
    }
    if (events.length > 0) this.#revision = revision;
    return { kind: "committed", revision: this.#revision, events };
  }

  #put(write: Extract<EngineWrite, { kind: "put" }>, revision: number): StoreEntry {
    const createRevision = this.#get(write.key)?.createRevision ?? revision;
    this.#statements.put.run(Buffer.from(write.key), write.value, revision, createRevision, write.leaseId ?? null);
    return { key: write.key, value: write.value, revision, createRevision };
  }

  #expire(leaseId: string): EngineReply {
    const keys = (this.#statements.keysOfLease.all(leaseId) as unknown as readonly Row[]).map((row) => Buffer.from(row.key).toString());
    return this.#commit([], keys.map((key) => ({ kind: "delete", key })));
  }

  /** One process owns the file, so the holders of all leases found at opening are gone. */
  #dropOrphans(): void {
    this.#database.exec("BEGIN IMMEDIATE");
    if (this.#statements.dropLeased.run().changes > 0) this.#revision += 1;
    this.#statements.writeRevision.run(this.#revision);
    this.#database.exec("COMMIT");
  }

  #copy(path: string): EngineReply {
    try {
      this.#database.prepare("VACUUM INTO ?").run(path);
      return done;
    } catch (error) {
      return asFailure(error);
    }
  }
}

const done: EngineReply = { kind: "done" };

/** True when `error` came from SQLite and means that the file itself is not sound. */
export function isCorruption(error: unknown): boolean {
  return error instanceof UnsoundDatabase || (error instanceof Error && "errcode" in error && corruptCodes.has(Number(error.errcode) & 0xff));
}

/** The file is a sound database but not one of this store, or its pages contradict each other. */
class UnsoundDatabase extends Error {}

function asFailure(error: unknown): EngineReply {
  return { kind: "failed", message: error instanceof Error ? error.message : String(error), isCorrupt: isCorruption(error) };
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
  Record<"get" | "list" | "listAll" | "put" | "remove" | "keysOfLease" | "dropLeased" | "readRevision" | "writeRevision", StatementSync>
> {
  const columns = "key, value, revision, create_revision AS createRevision";
  return {
    get: database.prepare(`SELECT ${columns} FROM entry WHERE key = ?`),
    list: database.prepare(`SELECT ${columns} FROM entry WHERE key >= ? AND key < ? ORDER BY key`),
    listAll: database.prepare(`SELECT ${columns} FROM entry ORDER BY key`),
    put: database.prepare("INSERT OR REPLACE INTO entry (key, value, revision, create_revision, lease) VALUES (?, ?, ?, ?, ?)"),
    remove: database.prepare("DELETE FROM entry WHERE key = ?"),
    keysOfLease: database.prepare("SELECT key FROM entry WHERE lease = ? ORDER BY key"),
    dropLeased: database.prepare("DELETE FROM entry WHERE lease IS NOT NULL"),
    readRevision: database.prepare("SELECT value FROM meta WHERE name = 'revision'"),
    writeRevision: database.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('revision', ?)"),
  };
}

function entryOf(row: Row): StoreEntry {
  return { key: Buffer.from(row.key).toString(), value: row.value, revision: row.revision, createRevision: row.createRevision };
}
