import { globalOrigin } from "#federation/model/replicated-object.ts";
import type { ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { endsWithin, type Clock } from "#federation/runtime/clock.ts";
import { until, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ReplicatedState } from "./replicated/replicated-view.ts";

/** How long a plane with an empty store waits for the global plane before it serves what little it knows. */
export const firstSyncMsMax = 10_000;

/**
 * Resolves once the global plane's state has arrived in a store that never held any, or after `firstSyncMsMax`: proxies
 * may know more than a new or lost store does, and would take its emptiness for withdrawals.
 */
export async function waitForFirstSync(
  options: {
    readonly cluster: string;
    readonly statuses: Watched<ReadonlyMap<string, ReceiverStatus>>;
    readonly replicated: Watched<ReplicatedState>;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  signal: AbortSignal,
): Promise<void> {
  const { cluster, statuses, replicated, clock, logger } = options;
  const isSynced = await endsWithin(
    clock,
    firstSyncMsMax,
    async (inner) => {
      await until(statuses, (known) => known.get(globalOrigin)?.isBehind === false, inner);
      await until(replicated, ({ clusters }) => clusters.has(cluster), inner);
    },
    signal,
  );
  if (!isSynced) logger.warn("Nothing has arrived from the global plane yet; this plane serves what its own cluster tells it.", { waitedMs: firstSyncMsMax });
}
