import { defaultPlaceVerdictPolicy } from "#federation/health/place-verdict.ts";
import type { PlaceVerdictPolicy } from "#federation/health/place-verdict.ts";
import type { OutlierPolicy } from "#federation/model/traffic-policy.ts";

/** A place's return is guarded by its hold-down and ramp, so it is tried again sooner than one endpoint among many. Ms. */
const placeEjectionMs = { base: 3_000, max: 30_000 } as const;

/**
 * One unanswered ping lowers: TCP loses none, and its bound allows for three round trips. For a second at first, since the
 * next pong says more than any waiting; the hold-down and the ramp come on top.
 */
const unansweredPingsMax = 1;
export const pingVerdictPolicy: PlaceVerdictPolicy = {
  ...defaultPlaceVerdictPolicy,
  unansweredPingsMax,
  outlier: { consecutiveFailures: 5, baseEjectionMs: 1_000, maxEjectionMs: 10_000 },
};

/** By what the places of a service with this `outlier` policy are judged. */
export function placeVerdictPolicy(outlier: OutlierPolicy): PlaceVerdictPolicy {
  return {
    ...defaultPlaceVerdictPolicy,
    unansweredPingsMax,
    outlier: {
      consecutiveFailures: outlier.consecutiveFailures,
      baseEjectionMs: Math.min(outlier.baseEjectionMs, placeEjectionMs.base),
      maxEjectionMs: Math.min(outlier.maxEjectionMs, placeEjectionMs.max),
    },
  };
}
