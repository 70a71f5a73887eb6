import { context, SpanKind, SpanStatusCode, trace, TraceFlags } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { NodeSDK } from "@opentelemetry/sdk-node";
import type { Exchange } from "../http/exchange.ts";

/** A running exporter of spans. */
export interface Tracing extends AsyncDisposable {
  /** Makes the span of an exchange that has ended. `direction` is this proxy's side of the hop. */
  record(direction: "outbound" | "inbound", x: Exchange, endMs: number, durationMs: number): void;
}

const traceparentLine = /(?:^|\n)traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r/i;

/**
 * Exports spans by OTLP over HTTP. This module brings the OpenTelemetry SDK with it: import it lazily, and only when an
 * endpoint is configured. Spans hang under the W3C context that the request carries; requests that it marks as not sampled make none.
 */
export function startTracing(endpoint: string, serviceName: string): Tracing {
  const sdk = new NodeSDK({
    serviceName,
    traceExporter: new OTLPTraceExporter({ url: new URL("v1/traces", endpoint.endsWith("/") ? endpoint : `${endpoint}/`).href }),
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    autoDetectResources: false,
  });
  sdk.start();
  const tracer = trace.getTracer("atoll-proxy");
  return {
    record(direction, x, endMs, durationMs) {
      const match = traceparentLine.exec(x.requestFields);
      if (match === null) return;
      const [, traceId = "", spanId = "", flags = ""] = match;
      const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
      if (traceFlags === 0) return;
      const parent = trace.setSpanContext(context.active(), { traceId, spanId, traceFlags, isRemote: true });
      const span = tracer.startSpan(
        `${x.method} ${x.route?.name ?? "unknown"}`,
        {
          kind: direction === "outbound" ? SpanKind.CLIENT : SpanKind.SERVER,
          startTime: endMs - durationMs,
          attributes: {
            "http.request.method": x.method,
            "http.response.status_code": x.status,
            "server.address": x.host,
            "atoll.response_flags": x.flag,
            "atoll.attempts": x.attempt,
            "atoll.destination_cluster": x.tries.last?.cluster ?? "",
            "atoll.destination_region": x.tries.last?.region ?? "",
          },
        },
        parent,
      );
      if (x.status >= 500 || x.status === 0) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(endMs);
    },
    async [Symbol.asyncDispose]() {
      await sdk.shutdown();
    },
  };
}
