import type { TrustDomainName } from "#federation/model/names.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { mapWatched, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ClusterKeySource } from "../credentials/cluster-credentials.ts";
import type { ReplicatedState } from "../replicated/replicated-view.ts";

export interface FollowOwnBundleOptions {
  readonly trustDomain: TrustDomainName;
  readonly replicated: Watched<Pick<ReplicatedState, "trustDomains">>;
  readonly keySource: Pick<ClusterKeySource, "takeBundle">;
  readonly onRefused: () => void;
  readonly logger: Logger;
}

/**
 * Has the cluster take up the roots of its own trust domain as its signer's plane has said them to the federation, long before it would with its
 * next intermediate. Ends when `signal` aborts; throws what the disk says, for a later try.
 */
export async function followOwnBundle({ trustDomain, replicated, keySource, onRefused, logger }: FollowOwnBundleOptions, signal: AbortSignal): Promise<void> {
  for await (const statement of mapWatched(replicated, ({ trustDomains }) => trustDomains.get(trustDomain)).changes(signal)) {
    if (statement === undefined) continue;
    try {
      keySource.takeBundle(statement.spec);
    } catch (error) {
      if (!isAtollError(error, "ATOLL_BUNDLE_INVALID")) throw error;
      onRefused();
      logger.warn("A bundle of this cluster's trust domain was not taken up; the present one goes on.", { reason: describeError(error) });
    }
  }
}
