import { AtollError } from "#federation/runtime/errors.ts";
import type { StoreCommit, StoreCondition, StoreTransaction, StoreWrite } from "./store.ts";
import { storeLimits } from "./store-limits.ts";

/** Transactions that may wait for those under way; one more is refused, and counted. */
const waitingMax = 2_048;

export interface CommitGroupsOptions {
  /** Has its own bound in time. */
  readonly send: (transaction: StoreTransaction) => Promise<StoreCommit>;
  /** Counts what was refused because too many waited. */
  readonly refused: { inc(): void };
}

/** A transaction that was handed in. */
export interface GroupedCommit {
  /** Rejects with what `send` has rejected with: then nobody knows whether it was done. */
  readonly outcome: Promise<StoreCommit>;
  /** Nobody waits for it any more: where it has not been sent, it never is. */
  giveUp(): void;
}

interface Waiting {
  readonly transaction: StoreTransaction;
  readonly resolve: (outcome: StoreCommit) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends transactions to an engine, one call after the other. Those that come while a call is under way go together by the next one, as one
 * transaction at one revision, in the order in which they came: an engine asks as much for a call as for what is in it. One that is alone
 * waits for nothing. Only such as do not touch each other go together, so that to each it is as if they had gone one by one; where a condition
 * of any does not hold, each is sent again by itself.
 */
export class CommitGroups {
  readonly #options: CommitGroupsOptions;
  #waiting: Waiting[] = [];
  #isUnderWay = false;

  constructor(options: CommitGroupsOptions) {
    this.#options = options;
  }

  /** @throws {ATOLL_STORE_UNAVAILABLE} when too many wait already. */
  add(transaction: StoreTransaction): GroupedCommit {
    if (this.#waiting.length >= waitingMax) {
      this.#options.refused.inc();
      throw new AtollError("ATOLL_STORE_UNAVAILABLE", `${waitingMax} transactions already wait for the store: try again`);
    }
    const { promise: outcome, resolve, reject } = Promise.withResolvers<StoreCommit>();
    const waiting = { transaction, resolve, reject };
    this.#waiting.push(waiting);
    if (!this.#isUnderWay) void this.#sendAll();
    return { outcome, giveUp: () => void (this.#waiting = this.#waiting.filter((one) => one !== waiting)) };
  }

  async #sendAll(): Promise<void> {
    this.#isUnderWay = true;
    while (this.#waiting.length > 0) {
      const group = new Group();
      let size = 0;
      while (size < this.#waiting.length && group.add((this.#waiting[size] as Waiting).transaction)) size++;
      await this.#sendGroup(this.#waiting.splice(0, size), group.transaction);
    }
    this.#isUnderWay = false;
  }

  async #sendGroup(members: readonly Waiting[], together: StoreTransaction): Promise<void> {
    const { send } = this.#options;
    try {
      const outcome = await send(together);
      if (outcome.kind === "committed" || members.length === 1) for (const { resolve } of members) resolve(outcome);
      else await Promise.all(members.map(async ({ transaction, resolve, reject }) => await send(transaction).then(resolve, reject)));
    } catch (error) {
      for (const { reject } of members) reject(error);
    }
  }
}

/** Transactions that may go together: none writes what another one writes or asks for. */
class Group {
  readonly #conditions = new Map<string, StoreCondition>();
  readonly #writes = new Map<string, StoreWrite>();
  #bytes = 0;
  #only: StoreTransaction | undefined;
  /** The first one is for nobody to join. */
  #isClosed = false;

  /** The first one as it is, and of several one with the conditions and writes of all. */
  get transaction(): StoreTransaction {
    return this.#only ?? { conditions: [...this.#conditions.values()], writes: [...this.#writes.values()] };
  }

  /** False when it has to wait for those that are in; the first one never has. */
  add(transaction: StoreTransaction): boolean {
    const isFirst = this.#writes.size === 0 && this.#only === undefined;
    if (!isFirst && (this.#isClosed || !this.#isOpenTo(transaction))) return false;
    this.#isClosed = isFirst && goesAlone(transaction);
    this.#only = isFirst ? transaction : undefined;
    for (const condition of transaction.conditions) {
      const known = this.#conditions.get(placeOf(condition));
      if (known === undefined || known.revision < condition.revision) this.#conditions.set(placeOf(condition), condition);
    }
    for (const write of transaction.writes) this.#writes.set(write.key, write);
    this.#bytes += bytesOf(transaction);
    return true;
  }

  #isOpenTo({ conditions, writes }: StoreTransaction): boolean {
    if (goesAlone({ conditions, writes })) return false;
    const { transactionWritesMax, transactionBytesMax } = storeLimits;
    if (this.#conditions.size + conditions.length > transactionWritesMax || this.#writes.size + writes.length > transactionWritesMax) return false;
    if (this.#bytes + bytesOf({ conditions, writes }) > transactionBytesMax) return false;
    return conditions.every((condition) => this.#agreesOn(condition)) && writes.every((write) => this.#leavesRoomFor(write));
  }

  #agreesOn(condition: StoreCondition): boolean {
    const written = this.#writes.get(condition.key);
    if (condition.kind === "revisionFrom") return written?.kind !== "delete";
    const known = this.#conditions.get(placeOf(condition));
    const isLeftSo = written === undefined || (outlivesPuts(condition) && written.kind === "put");
    return isLeftSo && (known === undefined || known.revision === condition.revision);
  }

  #leavesRoomFor(write: StoreWrite): boolean {
    const written = this.#writes.get(write.key);
    if (written !== undefined && !isSamePut(written, write)) return false;
    return conditionKinds.every((kind) => {
      const condition = this.#conditions.get(placeOf({ kind, key: write.key }));
      return condition === undefined || (outlivesPuts(condition) && write.kind === "put");
    });
  }
}

const conditionKinds = ["revision", "createRevision", "revisionFrom"] as const;

/** That a key was written at a revision or later, and where one that is there has begun, is true after another put as before it. */
function outlivesPuts({ kind, revision }: StoreCondition): boolean {
  return kind === "revisionFrom" || (kind === "createRevision" && revision > 0);
}

function placeOf({ kind, key }: Pick<StoreCondition, "kind" | "key">): string {
  return `${kind} ${key}`;
}

/** One that writes nothing answers with the store's revision and changes none; a lease may end while others are sent. */
function goesAlone({ writes }: StoreTransaction): boolean {
  return writes.length === 0 || isLeased(writes);
}

/** Whether some of `writes` are to vanish with a lease. */
export function isLeased(writes: readonly StoreWrite[]): boolean {
  return writes.some((write) => write.kind === "put" && write.lease !== undefined);
}

/** Two puts of one value are one: as after the second of them. */
function isSamePut(left: StoreWrite, right: StoreWrite): boolean {
  return left.kind === "put" && right.kind === "put" && Buffer.compare(left.value, right.value) === 0;
}

function bytesOf({ conditions, writes }: StoreTransaction): number {
  const keys = [...conditions, ...writes].reduce((sum, { key }) => sum + Buffer.byteLength(key), 0);
  return keys + writes.reduce((sum, write) => sum + (write.kind === "put" ? write.value.byteLength : 0), 0);
}
