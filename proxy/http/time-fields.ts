/** Parsers of the durations that requests bring along. All give ms, and +Infinity for what says nothing: such a field is passed over. */

/** Ms in a unit of grpc-timeout. */
const grpcUnitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/**
 * The value of grpc-timeout: a positive number of at most 8 digits and its unit. What does not have that form is left to
 * the application, whose protocol it is.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
 */
export function grpcTimeoutMs(text: string): number {
  const unitMs = grpcUnitsMs[text.at(-1) ?? ""];
  const digits = text.slice(0, -1);
  return unitMs === undefined || digits.length > 8 ? Number.POSITIVE_INFINITY : positive(digits) * unitMs;
}

/**
 * The value of x-envoy-upstream-rq-timeout-ms. 0 asks for no limit there; here a field only shortens.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-upstream-rq-timeout-ms
 */
export function envoyTimeoutMs(text: string): number {
  return positive(text);
}

/** The value of x-atoll-timeout-ms, which a sidecar sets: what is left of the request's time. 0 means that nothing is. */
export function hopTimeoutMs(text: string): number {
  return /^[0-9]+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

function positive(digits: string): number {
  const value = /^[0-9]+$/.test(digits) ? Number(digits) : 0;
  return value > 0 ? value : Number.POSITIVE_INFINITY;
}
