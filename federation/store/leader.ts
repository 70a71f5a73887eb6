import { randomUUID } from "node:crypto";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { Store, StoreCondition, StoreLease } from "./store.ts";

/** Who campaigns, and for what. */
export interface LeaderOptions {
  /** The key that the leader holds; candidates for one task use one key. */
  readonly key: string;
  /** Name of this candidate, for people who look at the key; of one data directory alone, and the same over its restarts. */
  readonly id: string;
  /** How long a leader that is silent keeps its place. 5 s unless told. */
  readonly ttlMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** One uninterrupted time as leader. */
export interface LeaderTerm {
  /** Grows from term to term over all candidates: the create revision of the leader's key. */
  readonly number: number;
  /** Position of the store before this term wrote anything into it. */
  readonly opened: number;
  /** Belongs into every transaction of the leader: it fails once another term has begun. */
  readonly fence: StoreCondition;
  /**
   * False while the store has not confirmed the leader's place for longer than it keeps it: another may lead by now, and what is said to others
   * in the leader's name has to wait. The term goes on; if the store, once it answers, has kept the place, the term is certain again.
   */
  readonly certain: Watched<boolean>;
}

/** A piece of work that only one process may do at a time; its signal aborts when the term ends. */
export type LeaderTask = (term: LeaderTerm, signal: AbortSignal) => Promise<void>;

/** Mean wait before a candidate tries again after the store failed. */
const retryMs = 500;

/**
 * Campaigns for `options.key` until `signal` aborts, and runs `task` during each term. Being told to stop is not
 * being stopped: a paused process may go on for a moment after its term, which is why its writes carry the fence.
 *
 *   waiting --key free or our own, created--> leading --the store says: no such lease, or key gone--> waiting
 *
 * A store that is away ends no term: nobody takes a key from it meanwhile, or somebody does, and then it says so when it is back.
 *
 * A key of a term of this process is not waited for, since that term is over; nor, in the first campaign, one of an earlier process of the
 * same `id`, which has crashed. Should that one live after all, as a second process of one data directory, its term ends, and it waits
 * from then on as anybody does: two of one name never take turns.
 *
 * Returns when `task` has returned within its term, or `signal` has aborted; throws what `task` throws.
 */
export async function runAsLeader(store: Store, options: LeaderOptions, task: LeaderTask, signal: AbortSignal): Promise<void> {
  const life = `${options.id} ${randomUUID()}`;
  let hasLed = false;
  const isOver = (holder: string): boolean => holder === life || (!hasLed && holder.startsWith(`${options.id} `));
  while (!signal.aborted) {
    try {
      const freedAt = await waitUntilFree(store, options.key, isOver, signal);
      if (signal.aborted) return;
      const startedMs = options.clock.monotonicMs();
      const isDone = await runTerm(store, { ...options, life, freedAt, onTerm: () => (hasLed = true) }, task, signal);
      if (isDone) return;
      // Who has led for a while goes on at once: its ports are closed.
      if (options.clock.monotonicMs() - startedMs >= retryMs) continue;
    } catch (error) {
      if (error instanceof TaskFailed) throw error.cause;
      if (signal.aborted) return;
      if (!isAtollError(error)) throw error;
      options.logger.warn("the campaign for the leadership failed and is tried again", { key: options.key, code: error.code, error: error.message });
    }
    await sleep(options.clock, jittered(options.random, retryMs, 0.5), signal).catch(() => undefined);
  }
}

interface Candidacy extends LeaderOptions {
  /** What the key says of its holder: the candidate's name, and which of its lives this is. */
  readonly life: string;
  /** The position at which it has removed the key of a term that was over; undefined where it was free. */
  readonly freedAt: number | undefined;
  readonly onTerm: () => void;
}

/** Tells the task's own failure from the store's. */
class TaskFailed extends Error {}

/** True when the task has ended by itself: there is nothing left to lead. */
async function runTerm(store: Store, options: Candidacy, task: LeaderTask, signal: AbortSignal): Promise<boolean> {
  const { key, id, logger } = options;
  await using lease = await store.grantLease(options.ttlMs ?? 5_000, signal);
  const term = await takeKey(store, options, lease, signal);
  if (term === undefined) return false;
  options.onTerm();
  logger.info("became leader", { key, id, term: term.number });
  const ended = new AbortController();
  const termSignal = AbortSignal.any([signal, lease.lost, ended.signal]);
  const watching = endWhenGone(store, key, term.number, termSignal).finally(() => ended.abort());
  try {
    await task(term, termSignal);
  } catch (error) {
    if (!termSignal.aborted) throw new TaskFailed("the leader's task failed", { cause: error });
  } finally {
    logger.info("leadership ended", { key, id, term: term.number });
  }
  const isDone = !termSignal.aborted;
  ended.abort();
  await watching.catch(() => undefined);
  return isDone;
}

async function takeKey(store: Store, { key, life, freedAt }: Candidacy, lease: StoreLease, signal: AbortSignal): Promise<LeaderTerm | undefined> {
  const commit = await store.commit(
    {
      conditions: [{ kind: "createRevision", key, revision: 0 }],
      writes: [{ kind: "put", key, value: new TextEncoder().encode(life), lease }],
    },
    signal,
  );
  if (commit.kind === "conflict") return undefined;
  // Between the removal and now others may have led.
  const opened = (freedAt === commit.revision - 1 ? freedAt : commit.revision) - 1;
  return { number: commit.revision, opened, fence: { kind: "createRevision", key, revision: commit.revision }, certain: lease.certain };
}

/** Resolves when nobody holds `key`, or deletes it where its holder's term is over; with the position of that. */
async function waitUntilFree(store: Store, key: string, isOver: (holder: string) => boolean, signal: AbortSignal): Promise<number | undefined> {
  for await (const batch of store.watch(key, signal)) {
    // A watch follows a prefix, so other keys may begin with this one.
    const changes = batch.events.filter((event) => (event.kind === "put" ? event.entry.key : event.key) === key);
    const last = changes.at(-1);
    if (last === undefined ? batch.initial : last.kind === "delete") return undefined;
    if (last?.kind !== "put" || !isOver(new TextDecoder().decode(last.entry.value))) continue;
    const { createRevision: revision } = last.entry;
    const commit = await store.commit({ conditions: [{ kind: "createRevision", key, revision }], writes: [{ kind: "delete", key }] }, signal);
    if (commit.kind !== "conflict") return commit.revision;
  }
  if (!signal.aborted) throw new AtollError("ATOLL_STORE_UNAVAILABLE", "the store was closed during the campaign");
  return undefined;
}

/** Resolves when the key is no longer the one that this term created. */
async function endWhenGone(store: Store, key: string, term: number, signal: AbortSignal): Promise<void> {
  for await (const batch of store.watch(key, signal)) {
    const changes = batch.events.filter((event) => (event.kind === "put" ? event.entry.key : event.key) === key);
    const last = changes.at(-1);
    if (last === undefined ? batch.initial : last.kind === "delete" || last.entry.createRevision !== term) return;
  }
}
