import type { ReceiverStatus } from "#federation/replication/shell/run-receiver.ts";
import { endsWithin, type Clock } from "#federation/runtime/clock.ts";
import { until, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";

/** How long a global plane waits after a decision for clusters to tell it what they export, ms; one that is silent for longer is not waited for. */
export const originsToldMsMax = 10_000;

/**
 * Resolves once everything that each of `clusters` says of itself is known to be held, or after `originsToldMsMax`. A store that went back
 * lacks exports that the other clusters have: offered to them as it is, it would take those away until their origins have told it anew.
 */
export async function waitForOrigins(
  options: { readonly clusters: () => Iterable<string>; readonly statuses: Watched<ReadonlyMap<string, ReceiverStatus>>; readonly clock: Clock; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { clusters, statuses, clock, logger } = options;
  const missing = (known: ReadonlyMap<string, ReceiverStatus>): readonly string[] => [...clusters()].filter((id) => known.get(id)?.wholeAtMonotonicMs === undefined);
  const areTold = await endsWithin(clock, originsToldMsMax, async (inner) => void (await until(statuses, (known) => missing(known).length === 0, inner)), signal);
  if (!areTold) {
    logger.warn("Some clusters have not said what they export since the decision; what this plane's store lacks of it is withdrawn from the others until they do.", { clusterIds: missing(statuses.current).join(","), waitedMs: originsToldMsMax });
  }
}
