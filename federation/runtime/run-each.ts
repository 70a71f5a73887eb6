import type { Watched } from "./watched.ts";

export interface Each<T> {
  /** A member with another life than before is ended and begun anew. */
  readonly lifeOf: (value: T) => unknown;
  /** Runs until its signal aborts; what it fails with ends all. */
  readonly run: (key: string, value: T, signal: AbortSignal) => Promise<void>;
  /** After the end of a life, before another of the same key begins; `next` is undefined where none does. */
  readonly ended?: (key: string, next: T | undefined, signal: AbortSignal) => Promise<void>;
}

interface Life {
  readonly of: unknown;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Runs something for each member that there is, from when it comes until it goes, never twice for one key at a time. The first failure ends all, and is thrown. */
export async function runEach<T>(members: Watched<ReadonlyMap<string, T>>, { lifeOf, run, ended }: Each<T>, signal: AbortSignal): Promise<void> {
  const lives = new Map<string, Life>();
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  try {
    for await (const present of members.changes(either)) {
      for (const [key, life] of lives) {
        const next = present.get(key);
        if (next !== undefined && lifeOf(next) === life.of) continue;
        life.stop.abort();
        await life.done;
        lives.delete(key);
        await ended?.(key, next, either);
      }
      for (const [key, value] of present) {
        if (lives.has(key)) continue;
        const stop = new AbortController();
        const done = run(key, value, AbortSignal.any([either, stop.signal])).catch((error: unknown) => failure.abort(error));
        lives.set(key, { of: lifeOf(value), stop, done });
      }
    }
  } finally {
    for (const { stop } of lives.values()) stop.abort();
    await Promise.all([...lives.values()].map(({ done }) => done));
  }
  if (failure.signal.aborted) throw failure.signal.reason;
}
