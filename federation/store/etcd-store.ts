import { EtcdLeaseInvalidError, type Etcd3, type IRangeResponse } from "etcd3";
import { abortedError, sleep, type Clock } from "#federation/runtime/clock.ts";
import { flatMappedValues } from "#federation/runtime/each-value.ts";
import { bareHost } from "#federation/runtime/dns/host-name.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import { WayBack } from "#federation/runtime/way-back.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { CommitGroups, isLeased } from "./commit-groups.ts";
import { openEtcdMember, type EtcdMember, type EtcdTls, type RawWatchEvent } from "./etcd-client.ts";
import { EtcdLease, renewOnce } from "./etcd-lease.ts";
import { readWatchStream } from "./etcd-watch.ts";
import { KnownKeys } from "./known-keys.ts";
import { wholeListing, type ListingPart } from "./paged-listing.ts";
import { readAhead } from "./read-ahead.ts";
import { notReadYet, type FollowReport, type Store, type StoreBatch, type StoreCommit, type StoreCondition, type StoreEntry, type StoreEvent, type StoreLease, type StoreListing, type StoreTransaction, type StoreWrite } from "./store.ts";
import { checkKey, checkTransaction } from "./store-limits.ts";

/** How to reach etcd. */
export interface EtcdStoreOptions {
  /** `https://host:port` of each member. */
  readonly endpoints: readonly string[];
  /** Asked before every operation; another object than before opens new connections with it. */
  readonly tls?: () => EtcdTls;
  /** Before every key in etcd, so that others may use it too. `/atoll/` unless told. */
  readonly keyPrefix?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Counts writes that were refused because too many waited. */
  readonly refused?: { inc(): void };
  /** Bound of each call to etcd, 1 s unless told; a long listing makes one call per page. */
  readonly operationTimeoutMs?: number;
}

/** Entries asked for at once; with values of 1 KiB the largest page has about 0.5 MB. */
const pageEntries = { min: 8, max: 500 } as const;
/** How often a page of a listing that has begun is asked for again, each time with half as many entries. */
const pageRetriesMax = 4;
/** Pages grow again while they come within this part of a call's bound. */
const quickPageRatio = 1 / 4;
/** How often a listing begins again because its revision was compacted under it. */
const listAttemptsMax = 3;
/** Calls under way at once; more would only wait for each other beyond their bound. */
const callsMax = 2_048;
const watchRetryMsMin = 100;
/** What is known of the store is behind for as long after its return. */
const watchRetryMsMax = 500;
/** etcd's answer to a read of a revision that is no longer kept. */
const compactedMessage = /required revision has been compacted/;

/**
 * Opens a store on etcd. Returns at once: connections are made at the first use. An operation fails within its bound
 * while etcd is away, and watches go on by themselves when it is back.
 */
export function openEtcdStore(options: EtcdStoreOptions): Store {
  return new EtcdStore(options);
}

interface OpenMember extends EtcdMember {
  readonly wayBack: WayBack;
}

class EtcdStore implements Store {
  readonly #options: EtcdStoreOptions;
  readonly #keyPrefix: string;
  readonly #operationTimeoutMs: number;
  readonly #closing = new AbortController();
  readonly #leases = new Map<string, EtcdLease>();
  readonly #members = new Map<string, OpenMember>();
  readonly #groups: CommitGroups;
  #tls: EtcdTls | undefined;
  #calls = 0;
  /** Fewer after a page that did not come in time, as over a slow way or on a host that has no time, and more again with each that comes soon. */
  #pageEntries: number = pageEntries.max;
  /** Index of the member that answered last. */
  #preferred = 0;

  constructor(options: EtcdStoreOptions) {
    this.#options = options;
    this.#keyPrefix = options.keyPrefix ?? "/atoll/";
    this.#operationTimeoutMs = options.operationTimeoutMs ?? 1_000;
    this.#groups = new CommitGroups({ send: (transaction) => this.#commit(transaction, this.#closing.signal), refused: options.refused ?? { inc: () => undefined } });
    if (options.endpoints.length === 0) throw new AtollError("ATOLL_CONFIG_INVALID", "an etcd store needs at least one endpoint");
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    checkKey(key);
    const answer = await this.#call((client) => client.kv.range({ key: this.#raw(key) }), signal);
    const kv = answer.kvs[0];
    return kv === undefined ? undefined : this.#entry(kv);
  }

  async list(prefix: string, signal: AbortSignal): Promise<StoreListing> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await wholeListing(this.#parts(prefix, signal));
      } catch (error) {
        if (attempt >= listAttemptsMax || !compactedMessage.test(describeError(error))) throw error;
      }
    }
  }

  async commit(transaction: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    checkTransaction(transaction);
    // An election waits for nobody else's writes.
    if (isLeased(transaction.writes)) return await this.#commit(transaction, signal);
    this.#checkOpen(signal);
    const grouped = this.#groups.add(copied(transaction));
    try {
      return await this.#within(grouped.outcome, signal);
    } catch (error) {
      grouped.giveUp();
      throw isAtollError(error) ? error : failureOf(error);
    }
  }

  /** Also ends when the store is closed. */
  async *watch(prefix: string, signal: AbortSignal, report?: FollowReport): AsyncGenerator<StoreBatch, void, undefined> {
    const ending = AbortSignal.any([signal, this.#closing.signal]);
    const known = new KnownKeys();
    let revision: number | undefined;
    let failures = 0;
    report?.lost(notReadYet);
    while (!ending.aborted) {
      try {
        if (revision === undefined) {
          known.begin();
          let listed = 0;
          yield* flatMappedValues(readAhead(this.#parts(prefix, ending)), (part) => {
            listed = part.revision;
            report?.reads();
            return known.take(part);
          });
          revision = listed;
        }
        const member = this.#member();
        const batches = readWatchStream(member.openWatch(), { ...this.#watchRequest(prefix, revision + 1), clock: this.#options.clock, onUp: () => report?.follows() }, ending);
        for (let next = await batches.next(); ; next = await batches.next()) {
          if (next.done === true) {
            if (next.value.kind === "relist") revision = undefined;
            else this.#leave(member);
            report?.lost(next.value.reason);
            if (!ending.aborted) this.#logLoss(prefix, next.value, failures++);
            break;
          }
          failures = 0;
          revision = Math.max(revision, next.value.revision);
          const events = next.value.events.map((event) => this.#event(event));
          known.record(events);
          if (events.length > 0) yield { initial: false, events, revision };
        }
      } catch (error) {
        if (ending.aborted) return;
        if (!isAtollError(error)) throw error;
        const reason = describeError(error);
        report?.lost(reason);
        this.#logLoss(prefix, { kind: "resume", reason }, failures++);
      }
      const waitMs = Math.min(watchRetryMsMin * 2 ** failures, watchRetryMsMax);
      await sleep(this.#options.clock, jittered(this.#options.random, waitMs, 0.5), ending).catch(() => undefined);
    }
  }

  async grantLease(ttlMs: number, signal: AbortSignal): Promise<StoreLease> {
    const { clock, logger } = this.#options;
    const sentMs = clock.monotonicMs();
    const answer = await this.#call((client) => client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1000), ID: 0 }), signal);
    const lease = new EtcdLease(answer.ID, ttlMs, sentMs, {
      clock,
      logger,
      renew: (id) => this.#call((client) => renewOnce(client, id, clock.nowMs() + this.#operationTimeoutMs), this.#closing.signal),
      revoke: async (id) => void (await this.#call((client) => client.leaseClient.leaseRevoke({ ID: id }), this.#closing.signal)),
      forget: (id) => void this.#leases.delete(id),
    });
    this.#leases.set(lease.id, lease);
    return lease;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await Promise.all([...this.#leases.values()].map((lease) => lease[Symbol.asyncDispose]()));
    this.#closing.abort(new AtollError("ATOLL_STORE_UNAVAILABLE", "the store is closed"));
    this.#closeMembers();
  }

  async #commit({ conditions, writes }: StoreTransaction, signal: AbortSignal): Promise<StoreCommit> {
    const compare = conditions.map((condition) => this.#compare(condition));
    const success = writes.map((write) => this.#operation(write));
    const answer = await this.#call((client) => client.kv.txn({ compare, success, failure: [] }), signal);
    return answer.succeeded ? { kind: "committed", revision: Number(answer.header.revision) } : { kind: "conflict" };
  }

  /** All under `prefix`, page by page, at the revision of the first one: nothing of it becomes another while it is read. */
  async *#parts(prefix: string, signal: AbortSignal): AsyncGenerator<ListingPart, void, undefined> {
    const rangeEnd = this.#rangeEnd(prefix);
    const at = { key: this.#raw(prefix), revision: 0, isLast: false };
    const next = async (): Promise<ListingPart> => {
      const page = await this.#page({ key: at.key, range_end: rangeEnd, revision: at.revision }, signal);
      if (at.revision === 0) at.revision = Number(page.header.revision);
      const last = page.kvs.at(-1);
      at.isLast = !page.more || last === undefined;
      // The smallest key after the last one.
      if (last !== undefined) at.key = Buffer.concat([last.key, Buffer.of(0)]);
      return { revision: at.revision, entries: page.kvs.map((kv) => this.#entry(kv)), later: [], isLast: at.isLast };
    };
    while (!at.isLast) yield await next();
  }

  /** The first page fails within the bound of a call, as everything does while etcd is away; those after it may take some more tries, since etcd was just there. */
  async #page(range: { readonly key: Buffer; readonly range_end: Buffer; readonly revision: number }, signal: AbortSignal): Promise<IRangeResponse> {
    const { clock } = this.#options;
    for (let failures = 0; ; failures++) {
      const askedMs = clock.monotonicMs();
      try {
        const page = await this.#call((client) => client.kv.range({ ...range, limit: this.#pageEntries }), signal);
        if (clock.monotonicMs() - askedMs < this.#operationTimeoutMs * quickPageRatio) this.#pageEntries = Math.min(pageEntries.max, this.#pageEntries * 2);
        return page;
      } catch (error) {
        if (signal.aborted || !isAtollError(error) || compactedMessage.test(describeError(error))) throw error;
        this.#pageEntries = Math.max(pageEntries.min, Math.floor(this.#pageEntries / 2));
        if (range.revision === 0 || failures >= pageRetriesMax) throw error;
      }
    }
  }

  /**
   * One call to the member that answered last. A call that failed is not repeated: whether it was done is not known;
   * but the next one goes to another member.
   */
  async #call<T>(call: (client: Etcd3) => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#checkOpen(signal);
    if (this.#calls >= callsMax) throw new AtollError("ATOLL_STORE_UNAVAILABLE", `${callsMax} calls to etcd are already under way`);
    this.#calls++;
    const member = this.#member();
    try {
      const answer = await this.#within(call(member.client), signal);
      member.wayBack.answered();
      return answer;
    } catch (error) {
      if (isAtollError(error)) throw error;
      if (error instanceof EtcdLeaseInvalidError) throw new AtollError("ATOLL_STORE_LEASE_LOST", "the lease of a write has ended", { cause: error });
      const failure = failureOf(error);
      // Each member refuses for the same alarm.
      if (failure.code !== "ATOLL_STORE_UNWRITABLE") {
        this.#leave(member);
        member.wayBack.failed();
      }
      throw failure;
    } finally {
      this.#calls--;
    }
  }

  #checkOpen(signal: AbortSignal): void {
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason;
    if (signal.aborted) throw abortedError(signal);
  }

  /** Waits for `answer` no longer than the bound of an operation, nor than `signal` lets it. */
  async #within<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
    let onAbort: (() => void) | undefined;
    let timer: Disposable | undefined;
    const givenUp = new Promise<never>((_resolve, reject) => {
      // gRPC's deadline ends the call itself a moment earlier; this one holds where it does not look (DNS, TLS).
      const boundMs = this.#operationTimeoutMs + 250;
      timer = this.#options.clock.schedule(boundMs, () => reject(new Error(`no answer within ${boundMs} ms`)));
      onAbort = () => reject(this.#closing.signal.aborted ? this.#closing.signal.reason : abortedError(signal));
      signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      return await Promise.race([answer, givenUp]);
    } finally {
      timer?.[Symbol.dispose]();
      if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
    }
  }

  #member(): OpenMember {
    const tls = this.#options.tls?.();
    if (tls !== this.#tls) {
      this.#tls = tls;
      this.#closeMembers();
    }
    const endpoint = this.#options.endpoints[this.#preferred] ?? "";
    let member = this.#members.get(endpoint);
    if (member === undefined) {
      member = this.#open(endpoint, tls);
      this.#members.set(endpoint, member);
    }
    return member;
  }

  #open(endpoint: string, tls: EtcdTls | undefined): OpenMember {
    const { clock, random, logger } = this.#options;
    const url = new URL(endpoint);
    const { port, protocol } = url;
    const looked = [{ host: bareHost(url), port: Number(port || (protocol === "https:" ? 443 : 80)) }];
    const redial = (): void => {
      logger.info("connections to etcd that lead nowhere are given up for others", { endpoint });
      this.#members.delete(endpoint);
      member[Symbol.dispose]();
    };
    const wayBack = new WayBack({ members: async () => looked, clock, random, redial });
    const connections = openEtcdMember(endpoint, tls, clock, this.#operationTimeoutMs);
    const member: OpenMember = {
      ...connections,
      wayBack,
      [Symbol.dispose]() {
        wayBack[Symbol.dispose]();
        connections[Symbol.dispose]();
      },
    };
    return member;
  }

  /** The next call goes to another member; what fails at this one later, with many calls under way to it, has been heeded then. */
  #leave({ endpoint }: EtcdMember): void {
    const { endpoints } = this.#options;
    if (endpoints[this.#preferred] === endpoint) this.#preferred = (this.#preferred + 1) % endpoints.length;
  }

  #closeMembers(): void {
    for (const member of this.#members.values()) member[Symbol.dispose]();
    this.#members.clear();
  }

  /** One line when a watch is lost, not one per attempt. */
  #logLoss(prefix: string, end: { readonly kind: string; readonly reason: string }, failures: number): void {
    const log = failures === 0 ? "warn" : "debug";
    this.#options.logger[log]("a watch of etcd was interrupted and goes on", { prefix, how: end.kind, reason: end.reason });
  }

  #compare(condition: StoreCondition): object {
    const key = this.#raw(condition.key);
    const { kind, revision } = condition;
    switch (kind) {
      case "revision":
        return { key, result: "Equal", target: "Mod", mod_revision: String(revision) };
      case "revisionFrom":
        return { key, result: "Greater", target: "Mod", mod_revision: String(revision - 1) };
      case "createRevision":
      default:
        return { key, result: "Equal", target: "Create", create_revision: String(revision) };
    }
  }

  #operation(write: StoreWrite): object {
    const key = this.#raw(write.key);
    if (write.kind === "delete") return { request_delete_range: { key } };
    if (write.lease !== undefined && (this.#leases.get(write.lease.id) !== write.lease || write.lease.lost.aborted)) {
      throw new AtollError("ATOLL_STORE_LEASE_LOST", "the lease of a write has ended");
    }
    // A copy: gRPC encodes later, and the caller may reuse its buffer.
    return { request_put: { key, value: Buffer.from(write.value), ...(write.lease === undefined ? {} : { lease: write.lease.id }) } };
  }

  #watchRequest(prefix: string, startRevision: number): { readonly prefix: Buffer; readonly rangeEnd: Buffer; readonly startRevision: number } {
    return { prefix: this.#raw(prefix), rangeEnd: this.#rangeEnd(prefix), startRevision };
  }

  #raw(key: string): Buffer {
    return Buffer.from(this.#keyPrefix + key);
  }

  #rangeEnd(prefix: string): Buffer {
    const end = this.#raw(prefix);
    // UTF-8 has no byte 0xff, so the last byte can always be raised by one. Without any prefix: all keys.
    if (end.length === 0) return Buffer.of(0);
    end[end.length - 1] = (end.at(-1) ?? 0) + 1;
    return end;
  }

  #entry(kv: { readonly key: Buffer; readonly value: Buffer; readonly mod_revision: string; readonly create_revision: string }): StoreEntry {
    return {
      key: kv.key.toString().slice(this.#keyPrefix.length),
      value: new Uint8Array(kv.value),
      revision: Number(kv.mod_revision),
      createRevision: Number(kv.create_revision),
    };
  }

  #event(event: RawWatchEvent): StoreEvent {
    if (event.type === "Put") return { kind: "put", entry: this.#entry(event.kv) };
    return { kind: "delete", key: event.kv.key.toString().slice(this.#keyPrefix.length), revision: Number(event.kv.mod_revision) };
  }
}

/** The caller may reuse its buffers before they are sent. */
function copied({ conditions, writes }: StoreTransaction): StoreTransaction {
  return { conditions, writes: writes.map((write) => (write.kind === "put" ? { ...write, value: Buffer.from(write.value) } : write)) };
}

/** What etcd says while its alarm NOSPACE is on. @see https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go (ErrGRPCNoSpace) */
const noSpaceWords = "database space exceeded";

function failureOf(cause: unknown): AtollError {
  if (cause instanceof Error && cause.message.includes(noSpaceWords)) return new AtollError("ATOLL_STORE_UNWRITABLE", "etcd takes no writes: it is full (NOSPACE)", { cause });
  return new AtollError("ATOLL_STORE_UNAVAILABLE", "etcd did not do it", { cause });
}
