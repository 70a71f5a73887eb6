import { AtollError } from "#federation/runtime/errors.ts";
import { parseRegionId } from "#federation/model/names.ts";
import { priorityClasses } from "#federation/model/priority-class.ts";
import type { LocalityPolicy, TrafficPolicySpec } from "#federation/model/traffic-policy.ts";
import { listItemsMax } from "./limits.ts";
import { boundedList } from "./schema.ts";

/** The fields of `atoll.discovery.v1.TrafficPolicy`. */
export interface RawTrafficPolicy {
  readonly localityMode: string;
  readonly regions: readonly { readonly region: string; readonly weight: number }[];
  readonly retriesMax: number;
  readonly retryBudgetRatio: number;
  readonly retryStatuses: readonly number[];
  readonly requestTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly outlierConsecutiveFailures: number;
  readonly outlierBaseEjectionMs: number;
  readonly outlierMaxEjectionMs: number;
  /** 0: absent. */
  readonly tryTimeoutMs: number;
  readonly streamTimeoutMs: number;
  readonly priority: string;
}

/** The message of a complete policy. */
export function trafficPolicyFields(policy: TrafficPolicySpec): RawTrafficPolicy {
  return {
    localityMode: policy.locality.mode,
    regions: localityRegions(policy.locality),
    retriesMax: policy.retries.retriesMax,
    retryBudgetRatio: policy.retries.budgetRatio,
    retryStatuses: policy.retries.statuses,
    requestTimeoutMs: policy.timeouts.requestMs,
    connectTimeoutMs: policy.timeouts.connectMs,
    idleTimeoutMs: policy.timeouts.idleMs,
    outlierConsecutiveFailures: policy.outlier.consecutiveFailures,
    outlierBaseEjectionMs: policy.outlier.baseEjectionMs,
    outlierMaxEjectionMs: policy.outlier.maxEjectionMs,
    tryTimeoutMs: policy.timeouts.tryMs ?? 0,
    streamTimeoutMs: policy.timeouts.streamMs ?? 0,
    priority: policy.priority,
  };
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_NAME_INVALID} */
export function trafficPolicyOf(raw: RawTrafficPolicy): TrafficPolicySpec {
  return {
    locality: localityOf(raw),
    retries: {
      retriesMax: raw.retriesMax,
      budgetRatio: ratio(raw.retryBudgetRatio, "the retry budget"),
      statuses: boundedList(raw.retryStatuses, 500, "retry statuses").map(status),
    },
    timeouts: {
      requestMs: raw.requestTimeoutMs,
      connectMs: raw.connectTimeoutMs,
      idleMs: raw.idleTimeoutMs,
      ...(raw.tryTimeoutMs === 0 ? {} : { tryMs: raw.tryTimeoutMs }),
      ...(raw.streamTimeoutMs === 0 ? {} : { streamMs: raw.streamTimeoutMs }),
    },
    outlier: {
      consecutiveFailures: raw.outlierConsecutiveFailures,
      baseEjectionMs: raw.outlierBaseEjectionMs,
      maxEjectionMs: raw.outlierMaxEjectionMs,
    },
    // An older plane says nothing; a class that only a newer one knows is none that we could keep apart.
    priority: priorityClasses.find((name) => name === raw.priority) ?? "default",
  };
}

function localityRegions(locality: LocalityPolicy): RawTrafficPolicy["regions"] {
  if (locality.mode === "ordered") return locality.order.map((region) => ({ region, weight: 0 }));
  return locality.mode === "weights" ? locality.weights : [];
}

function localityOf(raw: RawTrafficPolicy): LocalityPolicy {
  const regions = boundedList(raw.regions, listItemsMax, "regions of a policy");
  switch (raw.localityMode) {
    case "ordered":
      return { mode: "ordered", order: regions.map(({ region }) => parseRegionId(region)) };
    case "weights":
      return { mode: "weights", weights: regions.map(({ region, weight }) => ({ region: parseRegionId(region), weight: finite(weight) })) };
    case "nearest":
      return { mode: "nearest" };
    default:
      throw new AtollError("ATOLL_WIRE_INVALID", "unknown locality mode");
  }
}

function ratio(value: number, what: string): number {
  if (!(value >= 0 && value <= 1)) throw new AtollError("ATOLL_WIRE_INVALID", `${what} is not a ratio from 0 to 1`);
  return value;
}

function finite(value: number): number {
  if (!Number.isFinite(value) || value < 0) throw new AtollError("ATOLL_WIRE_INVALID", "a region weight is not a positive number");
  return value;
}

function status(value: number): number {
  if (value < 100 || value > 599) throw new AtollError("ATOLL_WIRE_INVALID", "a retry status is not an HTTP status");
  return value;
}
