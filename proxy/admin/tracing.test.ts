import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { Exchange, type ClientSide } from "../http/exchange.ts";
import { startTracing } from "./tracing.ts";

interface OtlpSpan {
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

/** An exchange that has ended, with this trace context in its request. */
function ended(traceparent: string): Exchange {
  const x = new Exchange(undefined as unknown as ClientSide);
  x.method = "GET";
  x.host = "catalog.web";
  x.status = 200;
  x.requestFields = `accept: */*\r\ntraceparent: ${traceparent}\r\nx: y\r\n`;
  return x;
}

describe("startTracing", () => {
  it("exports spans under the request's own trace, and none for what is not sampled", async () => {
    const bodies: string[] = [];
    const collector = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        bodies.push(`${request.url} ${body}`);
        response.end("{}");
      });
    });
    collector.listen(0, "127.0.0.1");
    await once(collector, "listening");
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    {
      await using tracing = startTracing(`http://127.0.0.1:${(collector.address() as AddressInfo).port}`, "storefront");
      tracing.record("outbound", ended(`00-${traceId}-00f067aa0ba902b7-01`), 1_700_000_000_050, 50);
      tracing.record("outbound", ended(`00-${"a".repeat(32)}-00f067aa0ba902b7-00`), 1_700_000_000_050, 50);
      tracing.record("outbound", ended("not a context"), 1_700_000_000_050, 50);
    }
    collector.close();
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).toMatch(/^\/v1\/traces /);
    const sent = JSON.parse((bodies[0] ?? "").slice("/v1/traces ".length)) as { readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[] }[] };
    const spans = sent.resourceSpans.flatMap((resource) => resource.scopeSpans.flatMap((scope) => scope.spans));
    expect(spans).toHaveLength(1);
    expect(spans[0]).toMatchObject({ traceId, parentSpanId: "00f067aa0ba902b7", name: "GET unknown", kind: 3, startTimeUnixNano: "1700000000000000000", endTimeUnixNano: "1700000000050000000" });
  });
});
