import type { Exchange } from "./exchange.ts";

/** Where access log lines go; must not block and must bound what it holds. */
export interface AccessLogSink {
  write(line: string): void;
}

export type AccessLogFormat = "text" | "json";

/** `failures`: what ended with a flag, a status from 500, or no response at all. */
export type AccessLogFilter = "all" | "failures";

/** The access log of a listener. */
export interface AccessLog {
  readonly format: AccessLogFormat;
  readonly filter: AccessLogFilter;
  readonly sink: AccessLogSink;
  readonly overload: OverloadLines;
}

/** Lines a second for what is refused under overload; a line costs as much as the refusal itself, and each says the same. */
export const overloadLinesPerSecond = 50;

/** Bounds the lines of refusals under overload: logging must not take the processor that is short. */
export class OverloadLines {
  #second = Number.NEGATIVE_INFINITY;
  #left = 0;
  /** Refusals that got no line; they are in the metrics by reason. */
  omitted = 0;

  /** True when one more line is to be written; `nowMs` is wall-clock ms. */
  take(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#left = overloadLinesPerSecond;
    }
    if (this.#left === 0) {
      this.omitted++;
      return false;
    }
    this.#left--;
    return true;
  }
}

/** Writes the line of an exchange that has ended, when the filter wants it. `endMs` is wall-clock ms. */
export function logExchange(log: AccessLog, x: Exchange, endMs: number, durationMs: number): void {
  const isFailure = x.flag !== "-" || x.status >= 500 || !x.responseStarted;
  if (log.filter !== "all" && !isFailure) return;
  if (x.flag === "UO" && !log.overload.take(endMs)) return;
  log.sink.write(formatAccessLog(log.format, x, endMs, durationMs));
}

function formatAccessLog(format: AccessLogFormat, x: Exchange, endMs: number, durationMs: number): string {
  return format === "text" ? formatText(x, endMs, durationMs) : formatJson(x, endMs, durationMs);
}

/**
 * Envoy's default format.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#default-format-string
 */
function formatText(x: Exchange, endMs: number, durationMs: number): string {
  const start = new Date(endMs - durationMs).toISOString();
  const upstreamMs = x.upstreamMs < 0 ? "-" : String(Math.round(x.upstreamMs));
  return (
    `[${start}] "${x.method} ${quoted(x.target)} HTTP/1.${x.minorVersion}" ${x.status} ${x.flag} ${x.bytesReceived} ${x.bytesSent} ` +
    `${Math.round(durationMs)} ${upstreamMs} "${quoted(x.forwardedFor)}" "${quoted(x.userAgent)}" "${quoted(x.requestId)}" "${quoted(x.host)}" "${upstreamOf(x)}"\n`
  );
}

function formatJson(x: Exchange, endMs: number, durationMs: number): string {
  const upstreamMs = x.upstreamMs < 0 ? null : Math.round(x.upstreamMs);
  const place = x.tries.last;
  return `${JSON.stringify({
    start_time: new Date(endMs - durationMs).toISOString(),
    method: x.method,
    path: x.target,
    protocol: `HTTP/1.${x.minorVersion}`,
    response_code: x.status,
    response_flags: x.flag,
    response_code_details: x.reason === "" ? "via_upstream" : x.reason,
    bytes_received: x.bytesReceived,
    bytes_sent: x.bytesSent,
    duration: Math.round(durationMs),
    upstream_service_time: upstreamMs,
    x_forwarded_for: x.forwardedFor === "" ? null : x.forwardedFor,
    user_agent: x.userAgent === "" ? null : x.userAgent,
    request_id: x.requestId === "" ? null : x.requestId,
    authority: x.host,
    upstream_host: upstreamOf(x),
    upstream_cluster: place?.cluster ?? null,
    upstream_region: place?.region ?? null,
    route_name: x.route?.name ?? null,
    attempts: x.attempt,
    downstream_peer: x.callerId === "" ? null : x.callerId,
    refused_by: x.refusedBy === "" ? null : x.refusedBy,
  })}\n`;
}

function upstreamOf(x: Exchange): string {
  const target = x.tries.last?.pool.target;
  return target === undefined ? "-" : `${target.address}:${target.port}`;
}

/** What came from outside must not end its quotes, and with them the line's meaning. Control characters cannot occur: the parser refuses them. */
function quoted(text: string): string {
  return text === "" ? "-" : text.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}
