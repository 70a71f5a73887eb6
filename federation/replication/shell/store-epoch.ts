import { readFileSync } from "node:fs";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import type { Logger } from "#federation/telemetry/logger.ts";

/** What a plane remembers of its store outside of it, so that a store that was rolled back is noticed. */
interface Witness {
  readonly epoch: number;
  readonly revision: number;
}

export interface StoreEpochOptions {
  readonly catalog: Catalog;
  readonly witnessFile: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often the witness is brought up to date. */
const witnessIntervalMs = 2_000;

/**
 * The epoch of the store's present life. A new one begins when the store is new, or is behind what was witnessed: it was
 * restored or lost, and its revisions will be given out a second time. The next epoch is above every one witnessed.
 */
export async function ensureEpoch(options: StoreEpochOptions, signal: AbortSignal): Promise<number> {
  const { catalog, witnessFile, clock, logger } = options;
  const stored = await catalog.epoch(signal);
  const { revision } = await catalog.positions.list(signal);
  const witness = readWitness(witnessFile);
  if (stored !== undefined && stored.value.epoch >= witness.epoch && revision >= witness.revision) return stored.value.epoch;
  const epoch = Math.max(stored?.value.epoch ?? 0, witness.epoch) + 1;
  if (witness.epoch > 0) logger.warn("The store is behind what this plane has witnessed; a new epoch begins.", { revision, witnessedRevision: witness.revision, epoch });
  await catalog.setEpoch({ epoch, startedAtMs: Math.floor(clock.nowMs()) }, signal);
  writePrivateFileSync(witnessFile, JSON.stringify({ epoch, revision } satisfies Witness));
  return epoch;
}

/** Keeps the witness on disk near the store's position until `signal` aborts. */
export async function keepWitness(options: StoreEpochOptions, epoch: number, signal: AbortSignal): Promise<void> {
  let written = 0;
  for (;;) {
    try {
      const { revision } = await options.catalog.positions.list(signal);
      if (revision > written) {
        writePrivateFileSync(options.witnessFile, JSON.stringify({ epoch, revision } satisfies Witness));
        written = revision;
      }
    } catch (error) {
      // A store that is away, or a full disk, must not end the plane: an older witness notices less, and nothing wrongly.
      if (!signal.aborted) options.logger.warn("The witness of the store could not be written.", { reason: describeError(error) });
    }
    await sleep(options.clock, witnessIntervalMs, signal);
  }
}

function readWitness(path: string): Witness {
  try {
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof content === "object" && content !== null && "epoch" in content && "revision" in content) {
      const { epoch, revision } = content;
      if (Number.isSafeInteger(epoch) && Number.isSafeInteger(revision)) return { epoch: Number(epoch), revision: Number(revision) };
    }
  } catch {
    // None yet, or not readable: then nothing has been witnessed.
  }
  return { epoch: 0, revision: 0 };
}
