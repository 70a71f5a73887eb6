import type { InstanceOverload } from "#federation/model/overload.ts";
import type { InstanceClock } from "#federation/model/clock-offset.ts";
import type { InstanceUnwritten } from "#federation/model/instance-unwritten.ts";
import type { InstanceUnreached } from "#federation/model/unreached-cluster.ts";

/** How long a session lives without a report, and how long a detached instance is kept before it may be swept. Ms. */
export interface SessionLimits {
  readonly ttlMs: number;
  readonly reattachWindowMs: number;
}

/** A proxy reports every third of the TTL; after a plane's restart every proxy has come back well within a minute. */
export const defaultSessionLimits: SessionLimits = { ttlMs: 9_000, reattachWindowMs: 60_000 };

interface Session {
  /** Undefined while nobody is attached. */
  streamId: number | undefined;
  /** Monotonic ms of the last report, or of the loss of the stream. */
  sinceMs: number;
  /** Nobody has been attached for the TTL. */
  isMissed: boolean;
  said: SaidBeside;
}

/** What an instance says beside its registration, as of the last report; what nobody reports any more is not known. */
export interface SaidBeside {
  readonly overloads: readonly InstanceOverload[];
  readonly unreached: readonly InstanceUnreached[];
  readonly unwritten: readonly InstanceUnwritten[];
  readonly clocks: readonly InstanceClock[];
}

const nothingSaid: SaidBeside = { overloads: [], unreached: [], unwritten: [], clocks: [] };

/**
 * Which instances have a live session, on the monotonic clock. An instance is
 * `attached` (reports arrive) → `detached` (stream ended, TTL over, or plane restarted) → `sweepable` (window over).
 * A newer stream of an instance replaces an older one, whose later end then means nothing.
 */
export class SessionTable {
  readonly #limits: SessionLimits;
  readonly #sessions = new Map<string, Session>();

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  /** Starts the re-attach window of an instance found in the store. */
  restore(instanceId: string, nowMs: number): void {
    if (!this.#sessions.has(instanceId)) this.#sessions.set(instanceId, { streamId: undefined, sinceMs: nowMs, isMissed: false, said: nothingSaid });
  }

  report(instanceId: string, streamId: number, nowMs: number, said = nothingSaid): void {
    const session = this.#sessions.get(instanceId);
    // Streams are numbered in order of arrival: a late word from an older one does not take the instance back.
    if (session?.streamId !== undefined && session.streamId > streamId) return;
    this.#sessions.set(instanceId, { streamId, sinceMs: nowMs, isMissed: false, said });
  }

  end(instanceId: string, streamId: number, nowMs: number): void {
    const session = this.#sessions.get(instanceId);
    if (session?.streamId === streamId) this.#sessions.set(instanceId, { streamId: undefined, sinceMs: nowMs, isMissed: false, said: nothingSaid });
  }

  forget(instanceId: string): void {
    this.#sessions.delete(instanceId);
  }

  isAttached(instanceId: string): boolean {
    return this.#sessions.get(instanceId)?.streamId !== undefined;
  }

  /** Whether nobody has reported for the TTL, as of the last look. */
  isMissed(instanceId: string): boolean {
    return this.#sessions.get(instanceId)?.isMissed === true;
  }

  /** What attached instances said of their overload last, by instance. */
  overloads(): readonly InstanceOverload[] {
    return this.#inOrder().flatMap(({ said }) => said.overloads);
  }

  /** The clusters that attached instances said last they do not reach, by instance. */
  unreached(): readonly InstanceUnreached[] {
    return this.#inOrder().flatMap(({ said }) => said.unreached);
  }

  /** The attached instances whose disks did not take what they know, as they said last. */
  unwritten(): readonly InstanceUnwritten[] {
    return this.#inOrder().flatMap(({ said }) => said.unwritten);
  }

  /** The attached instances whose clocks are apart from ours, as they said last. */
  clocks(): readonly InstanceClock[] {
    return this.#inOrder().flatMap(({ said }) => said.clocks);
  }

  /** Detaches sessions whose reports have stopped, and misses instances that were away for as long; answers which they are. */
  expire(nowMs: number): readonly string[] {
    const expired: string[] = [];
    for (const [instanceId, session] of this.#sessions) {
      if (session.isMissed || nowMs - session.sinceMs < this.#limits.ttlMs) continue;
      session.isMissed = true;
      expired.push(instanceId);
      if (session.streamId === undefined) continue;
      session.streamId = undefined;
      session.said = nothingSaid;
      session.sinceMs = nowMs;
    }
    return expired;
  }

  /** Instances whose re-attach window is over. */
  sweepable(nowMs: number): readonly string[] {
    return [...this.#sessions]
      .filter(([, session]) => session.streamId === undefined && nowMs - session.sinceMs >= this.#limits.reattachWindowMs)
      .map(([instanceId]) => instanceId);
  }

  #inOrder(): readonly Session[] {
    return [...this.#sessions].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, session]) => session);
  }
}
