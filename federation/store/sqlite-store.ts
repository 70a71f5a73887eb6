import { AsyncQueue } from "#federation/runtime/async-queue.ts";
import { abortedError, sleep, type Clock } from "#federation/runtime/clock.ts";
import { flatMappedValues, mappedValues } from "#federation/runtime/each-value.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { KnownKeys } from "./known-keys.ts";
import { PagedListing, wholeListing, type ListingPart } from "./paged-listing.ts";
import { readAhead } from "./read-ahead.ts";
import type { EngineReply, EngineRequest, EngineWrite } from "./sqlite-engine.ts";
import type { SqliteOrigin } from "./sqlite-files.ts";
import { SqliteLease } from "./sqlite-lease.ts";
import { createInlineRunner, openThreadRunner, type SqliteRunner } from "./sqlite-runner.ts";
import { notReadYet, type FollowReport, type Store, type StoreBatch, type StoreCommit, type StoreEntry, type StoreEvent, type StoreLease, type StoreListing, type StoreTransaction } from "./store.ts";
import { checkKey, checkTransaction } from "./store-limits.ts";

/** How to open a store in one SQLite file. */
export interface SqliteStoreOptions {
  /** The file, or `:memory:` for a store that lives as long as its object. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bound of every operation; a disk that takes longer is not usable for a control plane. 5 s unless told. */
  readonly operationTimeoutMs?: number;
  /** How often a changed store is copied beside its file; also at opening. 15 min unless told. */
  readonly backupIntervalMs?: number;
}

/** Requests that may wait for the disk at once. */
const pendingMax = 10_000;
/** Requests that share one SQLite transaction and one fsync. */
const batchMax = 256;
/** Batches that a slow reader of a watch may be behind before it is brought up by a new listing. */
const watchQueueMax = 1_024;
/** Wait before a watch lists again after the engine failed. */
const watchRetryMs = 200;

interface Pending {
  readonly request: EngineRequest;
  /** False when its caller has been told that it was not done in time, or has left. */
  readonly isWanted: () => boolean;
  /** Called in the order in which the engine did the work, also when the caller no longer waits. */
  readonly onReply: (reply: EngineReply) => void;
}

interface Watcher {
  readonly prefix: string;
  readonly queue: AsyncQueue<StoreBatch>;
}

/**
 * Opens a store in one SQLite file, owned by this process alone. An unsound file is moved aside with a warning.
 * @throws {ATOLL_STORE_UNAVAILABLE} when the file cannot be opened, or another process has it open.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const { path, clock, logger } = options;
  const runner = path === ":memory:" ? createInlineRunner() : await openThreadRunner(path, clock.nowMs());
  if (runner.movedAside.length > 0) {
    logger.warn("a store file was not sound and has been moved aside", { path, movedAside: runner.movedAside, continuingFrom: runner.origin });
  } else if (runner.origin === "backup") {
    logger.warn("a store file was gone, and its backup has taken its place", { path });
  }
  return new SqliteStore(runner, options);
}

/** `Store` in one SQLite file: WAL, an fsync before every acknowledgement, one writer thread. */
export class SqliteStore implements Store {
  /** Where the state came from: after "backup" or "emptied", acknowledged writes may be missing. */
  readonly origin: SqliteOrigin;
  readonly #runner: SqliteRunner;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #operationTimeoutMs: number;
  readonly #backupIntervalMs: number;
  readonly #watchers = new Set<Watcher>();
  /** That are being read. */
  readonly #listings = new Set<PagedListing>();
  readonly #leases = new Map<string, SqliteLease>();
  readonly #closing = new AbortController();
  #pending: Pending[] = [];
  #isRunning = false;
  #leaseCount = 0;
  #hasChanged = true;
  #backupTimer: Disposable | undefined;

  constructor(runner: SqliteRunner, options: SqliteStoreOptions) {
    this.#runner = runner;
    this.origin = runner.origin;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#operationTimeoutMs = options.operationTimeoutMs ?? 5_000;
    this.#backupIntervalMs = options.backupIntervalMs ?? 15 * 60_000;
    if (options.path !== ":memory:") this.#scheduleBackup(0);
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    checkKey(key);
    const reply = await this.#ask({ kind: "get", key }, signal);
    return reply.kind === "entry" ? reply.entry : undefined;
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    return await wholeListing(this.#parts(prefix, signal));
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    checkTransaction(transaction);
    const writes = transaction.writes.map((write): EngineWrite => {
      if (write.kind === "delete") return write;
      if (write.lease !== undefined) this.#checkLease(write.lease);
      // A copy of its own: posting a view of a pooled Buffer would clone the whole pool, and the caller may reuse it.
      return { kind: "put", key: write.key, value: new Uint8Array(write.value), leaseId: write.lease?.id };
    });
    const reply = await this.#ask({ kind: "commit", conditions: transaction.conditions, writes }, signal);
    if (reply.kind !== "committed") return { kind: "conflict" };
    // Held in memory only: nothing may be said in the name of whoever holds these keys before a renewal has the file take their position.
    if (!reply.isDurable) for (const { leaseId } of writes.filter((write) => write.kind === "put")) this.#leases.get(leaseId ?? "")?.doubt();
    return { kind: "committed", revision: reply.revision };
  }

  /** Also ends when the store is closed. */
  async *watch(prefix: string, signal: AbortSignal, report?: FollowReport): AsyncGenerator<StoreBatch, void, undefined> {
    const known = new KnownKeys();
    let reason = notReadYet;
    const ending = AbortSignal.any([signal, this.#closing.signal]);
    while (!ending.aborted) {
      const watcher: Watcher = {
        prefix,
        queue: new AsyncQueue({ capacity: watchQueueMax, onDrop: () => this.#unwatch(watcher) }),
      };
      try {
        known.begin();
        report?.lost(reason);
        // From the very revision of its last page on, events are handed to the watcher.
        const parts = readAhead(
          this.#parts(prefix, ending, () => {
            this.#watchers.add(watcher);
            report?.follows();
          }),
        );
        yield* flatMappedValues(parts, (part) => {
          report?.reads();
          return known.take(part);
        });
        reason = "more was written at once than its reader could take, and it is read anew";
        yield* mappedValues(watcher.queue.drain(ending), (next) => {
          known.record(next.events);
          return next;
        });
      } catch (error) {
        if (ending.aborted) return;
        if (!isAtollError(error)) throw error;
        reason = error.message;
        report?.lost(reason);
        this.#logger.warn("a watch could not list its keys and tries again", { prefix, error: error.message });
        await sleep(this.#clock, watchRetryMs, ending).catch(() => undefined);
      } finally {
        this.#unwatch(watcher);
      }
    }
  }

  grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    if (signal.aborted) return Promise.reject(abortedError(signal));
    const id = `lease-${++this.#leaseCount}`;
    const lease = new SqliteLease(id, ttlMs, {
      clock: this.#clock,
      renew: async () => void (await this.#ask({ kind: "ping" }, this.#closing.signal)),
      expire: (leaseId) => this.#expire(leaseId),
    });
    this.#leases.set(id, lease);
    return Promise.resolve(lease);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#backupTimer?.[Symbol.dispose]();
    await Promise.all([...this.#leases.values()].map((lease) => lease[Symbol.asyncDispose]()));
    this.#closing.abort(new AtollError("ATOLL_STORE_UNAVAILABLE", "the store is closed"));
    await this.#runner[Symbol.asyncDispose]();
  }

  #checkLease(lease: StoreLease): void {
    if (this.#leases.get(lease.id) !== lease || lease.lost.aborted) {
      throw new AtollError("ATOLL_STORE_LEASE_LOST", "the lease of a write has ended");
    }
  }

  async #expire(leaseId: string): Promise<void> {
    this.#leases.delete(leaseId);
    for (;;) {
      if (this.#closing.signal.aborted) return;
      try {
        await this.#ask({ kind: "expire", leaseId }, this.#closing.signal);
        return;
      } catch (error) {
        this.#logger.warn("the keys of an ended lease could not be deleted yet", { error: String(error) });
        await sleep(this.#clock, watchRetryMs, this.#closing.signal).catch(() => undefined);
      }
    }
  }

  /** All under `prefix`, in pages, between which the event loop turns and others are answered. `onWhole`: what is written from now on is not in it. */
  async *#parts(prefix: string, signal: AbortSignal, onWhole?: () => void): AsyncGenerator<ListingPart, void, undefined> {
    const listing = new PagedListing(prefix);
    const take = (reply: EngineReply): void => {
      if (reply.kind !== "page") return;
      listing.add(reply);
      if (listing.isWhole) onWhole?.();
    };
    this.#listings.add(listing);
    try {
      while (!listing.isWhole) {
        await this.#ask({ kind: "list", prefix, after: listing.after }, signal, take);
        yield listing.take();
      }
    } finally {
      this.#listings.delete(listing);
    }
  }

  #unwatch(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    watcher.queue.end();
  }

  /** @throws {ATOLL_STORE_UNAVAILABLE | ATOLL_STORE_UNWRITABLE | ATOLL_STORE_CORRUPT | ATOLL_ABORTED} */
  #ask(request: EngineRequest, signal: AbortSignal, onSuccess?: (reply: EngineReply) => void): Promise<Exclude<EngineReply, { kind: "failed" }>> {
    return new Promise((resolve, reject) => {
      if (this.#closing.signal.aborted) reject(this.#closing.signal.reason);
      else if (signal.aborted) reject(abortedError(signal));
      else if (this.#pending.length >= pendingMax) reject(unavailable(`${pendingMax} operations are already waiting`));
      else {
        let isSettled = false;
        const settle = (): void => {
          isSettled = true;
          timer[Symbol.dispose]();
          signal.removeEventListener("abort", onAbort);
        };
        const onAbort = (): void => {
          settle();
          reject(this.#closing.signal.aborted ? this.#closing.signal.reason : abortedError(signal));
        };
        const timer = this.#clock.schedule(this.#operationTimeoutMs, () => {
          settle();
          reject(unavailable(`no answer within ${this.#operationTimeoutMs} ms`));
        });
        signal.addEventListener("abort", onAbort, { once: true });
        const onReply = (reply: EngineReply): void => {
          if (isSettled) return;
          settle();
          if (reply.kind === "failed") {
            reject(failureOf(reply));
            return;
          }
          onSuccess?.(reply);
          resolve(reply);
        };
        this.#pending.push({ request, isWanted: () => !isSettled, onReply });
        this.#runNext();
      }
    });
  }

  /** One batch is with the engine at a time; what arrives meanwhile forms the next and shares its fsync. */
  #runNext(): void {
    if (this.#isRunning || this.#pending.length === 0) return;
    this.#isRunning = true;
    queueMicrotask(() => {
      const batch = this.#nextBatch();
      if (batch.length === 0) {
        this.#isRunning = false;
        return;
      }
      this.#runner.run(
        batch.map((pending) => pending.request),
        (replies) => {
          this.#isRunning = false;
          for (const [index, pending] of batch.entries()) this.#deliver(pending, replies[index]);
          this.#runNext();
        },
      );
    });
  }

  /** What nobody waits for any more is not begun: a disk that is behind would never catch up with those who ask again. */
  #nextBatch(): readonly Pending[] {
    const wanted = this.#pending.filter(({ isWanted }) => isWanted());
    this.#pending = wanted.splice(batchMax);
    return wanted;
  }

  #deliver(pending: Pending, reply: EngineReply | undefined): void {
    if (reply === undefined) return;
    // Watchers hear of a write before its writer does, and a new watcher only of writes after its listing.
    if (reply.kind === "committed" && reply.events.length > 0) this.#publish(reply.events, reply.revision);
    pending.onReply(reply);
  }

  #publish(events: readonly StoreEvent[], revision: number): void {
    this.#hasChanged = true;
    for (const listing of this.#listings) listing.hear(events);
    for (const watcher of this.#watchers) {
      const seen = events.filter((event) => (event.kind === "put" ? event.entry.key : event.key).startsWith(watcher.prefix));
      if (seen.length > 0) watcher.queue.push({ initial: false, events: seen, revision });
    }
  }

  #scheduleBackup(delayMs: number): void {
    this.#backupTimer = this.#clock.schedule(delayMs, () => {
      if (!this.#hasChanged) {
        this.#scheduleBackup(this.#backupIntervalMs);
        return;
      }
      this.#hasChanged = false;
      void this.#backup();
    });
  }

  async #backup(): Promise<void> {
    const failure = await this.#runner.backup();
    if (failure !== undefined) this.#logger.warn("the store could not be copied to its backup", { reason: failure });
    if (!this.#closing.signal.aborted) this.#scheduleBackup(this.#backupIntervalMs);
  }
}

function failureOf({ cause, message }: Extract<EngineReply, { kind: "failed" }>): AtollError {
  if (cause === "corrupt") return new AtollError("ATOLL_STORE_CORRUPT", message);
  return cause === "unwritable" ? new AtollError("ATOLL_STORE_UNWRITABLE", `the store takes no writes: ${message}`) : unavailable(message);
}

function unavailable(reason: string): AtollError {
  return new AtollError("ATOLL_STORE_UNAVAILABLE", `the store did not do it: ${reason}`);
}
