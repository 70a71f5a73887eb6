import type { RegionId } from "./names.ts";
import type { PriorityClass } from "./priority-class.ts";

/** In which order regions are tried. Every mode composes with failover; none needs a second knob. */
export type LocalityPolicy =
  /** Own region, then by measured round trip, then by name. */
  | { readonly mode: "nearest" }
  /** Own region first unless it is in the list; then the list's order; regions not named come last. */
  | { readonly mode: "ordered"; readonly order: readonly RegionId[] }
  /** Shares while healthy; a region that is down gives its share to the others in proportion. */
  | { readonly mode: "weights"; readonly weights: readonly { readonly region: RegionId; readonly weight: number }[] };

export interface RetryPolicy {
  /** Further tries after the first, besides the one free try at another place after a connect failure or reset. */
  readonly retriesMax: number;
  /** Retries may be at most this share of the last 10 s' requests. */
  readonly budgetRatio: number;
  /** Response codes tried again for idempotent requests. */
  readonly statuses: readonly number[];
}

/**
 * Limits in time. Before the response's head: `requestMs`, and `tryMs` within it. From then on, and while a body is
 * sent that is too large or too slow to be held, only silence ends a request: what flows is not cut, unless `streamMs` says so.
 */
export interface TimeoutPolicy {
  /** Until the response's head, over all tries; counted from the request's head, or from its end where its body streams. */
  readonly requestMs: number;
  readonly connectMs: number;
  /** No byte in either direction of a body, an upgraded connection or a TCP connection. */
  readonly idleMs: number;
  /** Until the response's head, one try of a request that may be tried again; the last one has the rest of `requestMs`. Absent: as long as that. */
  readonly tryMs?: number;
  /** The whole exchange, with its bodies, and an upgraded connection. Absent: as long as it flows. */
  readonly streamMs?: number;
}

/** The longest that a policy may let one wait be, and the longest that a proxy believes another. */
export const timeoutMsMax = 3_600_000;

/** The longest bound of a whole exchange: a week. */
export const streamMsMax = 604_800_000;

export interface OutlierPolicy {
  readonly consecutiveFailures: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
}

/** How requests to one service are routed, retried and bounded: the spec of a TrafficPolicy with every default filled in. */
export interface TrafficPolicySpec {
  readonly locality: LocalityPolicy;
  readonly retries: RetryPolicy;
  readonly timeouts: TimeoutPolicy;
  readonly outlier: OutlierPolicy;
  /** The class of its requests where not all can be served; the mesh's edge may say another for one of them. */
  readonly priority: PriorityClass;
}

/** What holds where no TrafficPolicy says otherwise. Retry figures: DESIGN §8; outlier figures: Envoy's 5 × 5xx and 30 s. */
export const defaultTrafficPolicy: TrafficPolicySpec = {
  locality: { mode: "nearest" },
  retries: { retriesMax: 2, budgetRatio: 0.2, statuses: [502, 503, 504] },
  timeouts: { requestMs: 15_000, connectMs: 2_000, idleMs: 60_000 },
  outlier: { consecutiveFailures: 5, baseEjectionMs: 30_000, maxEjectionMs: 300_000 },
  priority: "default",
};

/** What a user may leave out of a policy. */
export interface PartialTrafficPolicy {
  readonly locality?: LocalityPolicy;
  readonly retries?: Partial<RetryPolicy>;
  readonly timeouts?: Partial<TimeoutPolicy>;
  readonly outlier?: Partial<OutlierPolicy>;
  readonly priority?: PriorityClass;
}

/** The complete policy: what `partial` says, and the default for each field that it leaves out. */
export function fillTrafficPolicy(partial: PartialTrafficPolicy): TrafficPolicySpec {
  return {
    locality: partial.locality ?? defaultTrafficPolicy.locality,
    retries: { ...defaultTrafficPolicy.retries, ...partial.retries },
    timeouts: { ...defaultTrafficPolicy.timeouts, ...partial.timeouts },
    outlier: { ...defaultTrafficPolicy.outlier, ...partial.outlier },
    priority: partial.priority ?? defaultTrafficPolicy.priority,
  };
}
