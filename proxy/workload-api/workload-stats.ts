/** The methods whose answers are streams of what is new. */
export const streamMethods = ["FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"] as const;
export type StreamMethod = (typeof streamMethods)[number];

/** The methods of one answer. */
export const unaryMethods = ["FetchJWTSVID", "ValidateJWTSVID"] as const;
export type UnaryMethod = (typeof unaryMethods)[number];

/**
 * Why a call was refused: without the standard's header; it lacks what it has to say, or says too much; it asks for somebody else's identity; the
 * token that it shows proves nothing; there are too many calls; there is no identity just now, or the plane gives none; the plane
 * gives no token just now; the sidecar ends.
 */
export const workloadRefusals = ["header", "request", "otherIdentity", "token", "tooManyStreams", "noIdentity", "identityRefused", "noToken", "ending"] as const;
export type WorkloadRefusal = (typeof workloadRefusals)[number];

/** Counters of the Workload API. */
export interface WorkloadStats {
  readonly streams: Record<StreamMethod, number>;
  readonly responses: Record<StreamMethod | UnaryMethod, number>;
  readonly refused: Record<WorkloadRefusal, number>;
  /** JWT-SVIDs that were given once more, and those that made room for others. */
  readonly tokens: Record<"kept" | "evicted", number>;
  /** Connections beyond the bound. */
  connectionsDropped: number;
}

export function createWorkloadStats(): WorkloadStats {
  const zeros = <K extends string>(keys: readonly K[]): Record<K, number> => Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
  return { streams: zeros(streamMethods), responses: zeros([...streamMethods, ...unaryMethods]), refused: zeros(workloadRefusals), tokens: zeros(["kept", "evicted"]), connectionsDropped: 0 };
}
