import type { CatalogOp } from "#federation/catalog/collection.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";

/** Records of one transaction. */
const recordsPerWrite = 32;

/** Until a store that did not take a write is asked again. */
const retryMs = 2_000;

export interface KeepFollowingOptions<T> {
  readonly keep: (now: T, signal: AbortSignal) => Promise<void>;
  /** Said in the log when something could not be kept, once until it could. */
  readonly complaint: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps the newest value of `watched` until `signal` aborts; a store that does not take it is asked again. */
export async function keepFollowing<T>(watched: Watched<T>, { keep, complaint, clock, logger }: KeepFollowingOptions<T>, signal: AbortSignal): Promise<void> {
  let isFailing = false;
  const tried = async (): Promise<boolean> => {
    try {
      await keep(watched.current, signal);
      isFailing = false;
      return true;
    } catch (error) {
      if (signal.aborted && isAbort(error)) throw error;
      if (!isFailing) logger.warn(complaint, { reason: describeError(error) });
      isFailing = true;
      return false;
    }
  };
  for await (const _ of watched.changes(signal)) {
    while (!(await tried())) await sleep(clock, retryMs, signal);
  }
}

/** Writes `ops` in transactions of a bounded size. @throws what the store throws; what was written until then is kept. */
export async function commitInParts(ops: readonly CatalogOp[], commit: (ops: readonly CatalogOp[], signal: AbortSignal) => Promise<number>, signal: AbortSignal): Promise<void> {
  for (let at = 0; at < ops.length; at += recordsPerWrite) await commit(ops.slice(at, at + recordsPerWrite), signal);
}
