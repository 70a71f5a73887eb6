import type { Kind } from "#federation/model/resource.ts";
import { abortedError, sleep, type Clock } from "#federation/runtime/clock.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { ResourcePath } from "./resource-path.ts";
import type { RolloutAnswer, RolloutQuery } from "./rollout-route.ts";

/** Which write is followed, and at which plane it was made. */
export interface FollowedWrite {
  readonly kind: Kind;
  readonly path: ResourcePath;
  /** Cluster name, or "global". */
  readonly plane: string;
  /** Of the write; without it, that of the present form. */
  readonly revision?: number;
  /** The resource is to be gone. */
  readonly deleted: boolean;
}

/** What one plane said last. `silent` cannot be asked now; `closed` does not tell this caller, or is of a version that does not know the question. */
export type PlaneWord = { readonly kind: "answer"; readonly answer: RolloutAnswer } | { readonly kind: "silent" | "closed"; readonly error: unknown };

/** What all planes said last, by their names. */
export type PlaneWords = ReadonlyMap<string, PlaneWord>;

export interface FollowOptions {
  readonly ask: (plane: string, kind: Kind, path: ResourcePath, query: RolloutQuery, signal: AbortSignal) => Promise<RolloutAnswer>;
  /** Clusters whose own planes can be asked. */
  readonly clusters: readonly string[];
  /** On the clock's monotonic time. */
  readonly endMs: number;
  /** Seconds that one question waits at a plane. */
  readonly waitSeconds: number;
  /** Hears of each new word. */
  readonly onWord: (words: PlaneWords) => void;
  readonly clock: Clock;
}

/** Before a plane that cannot be asked is asked again, in ms. */
const silentPauseMs = 1_000;

/**
 * Follows one write until everybody has it or the time is over, and answers what each plane said last: the one where it was made, and, of
 * what the global plane owns, the planes of the clusters that it concerns, for their proxies. @throws what the first plane refuses.
 */
export async function followRollout(write: FollowedWrite, options: FollowOptions, signal: AbortSignal): Promise<PlaneWords> {
  const words = new Map<string, PlaneWord>();
  const hear = (plane: string, word: PlaneWord): void => {
    words.set(plane, word);
    options.onWord(words);
  };
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const asked = new Map<string, Promise<void>>();
  const first: RolloutQuery = write.deleted ? { deleted: true } : write.revision === undefined ? {} : { revision: write.revision };
  try {
    await followPlane(write.plane, write, first, options, either, (word) => {
      hear(write.plane, word);
      if (word.kind === "closed") throw word.error;
      if (write.plane !== "global" || word.kind !== "answer") return;
      const { generation, targets } = word.answer;
      for (const { name } of targets) {
        if (asked.has(name) || !options.clusters.includes(name)) continue;
        const query: RolloutQuery = generation === undefined ? { deleted: true } : { ...generation };
        const done = followPlane(name, write, query, options, either, (next) => hear(name, next));
        // Awaited below; until then a failure is not unhandled.
        done.catch(() => undefined);
        asked.set(name, done);
      }
    });
    await Promise.all(asked.values());
    return words;
  } finally {
    stop.abort();
    await Promise.allSettled(asked.values());
  }
}

async function followPlane(plane: string, { kind, path }: FollowedWrite, query: RolloutQuery, options: FollowOptions, signal: AbortSignal, hear: (word: PlaneWord) => void): Promise<void> {
  const { ask, clock, endMs, waitSeconds } = options;
  let seen: string | undefined;
  for (;;) {
    const leftSeconds = Math.max(0, Math.ceil((endMs - clock.monotonicMs()) / 1_000));
    const word = await wordOf(async () => await ask(plane, kind, path, { ...query, wait: Math.min(waitSeconds, leftSeconds), ...(seen === undefined ? {} : { seen }) }, signal), signal);
    hear(word);
    if (word.kind === "closed" || (word.kind === "answer" && word.answer.done) || clock.monotonicMs() >= endMs) return;
    if (word.kind === "answer") seen = word.answer.state;
    else await sleep(clock, Math.min(silentPauseMs, Math.max(0, endMs - clock.monotonicMs())), signal);
  }
}

/** A plane that does not answer, or has no room, may do so later; everything else that it says is final. */
async function wordOf(ask: () => Promise<RolloutAnswer>, signal: AbortSignal): Promise<PlaneWord> {
  try {
    return { kind: "answer", answer: await ask() };
  } catch (error) {
    if (signal.aborted) throw abortedError(signal);
    const mayPass = isAtollError(error, "ATOLL_ADMIN_UNAVAILABLE", "ATOLL_ADMIN_OVERLOADED", "ATOLL_TIMEOUT", "ATOLL_ABORTED", "ATOLL_STORE_UNAVAILABLE");
    return { kind: mayPass ? "silent" : "closed", error };
  }
}
