import type { Registry } from "prom-client";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import { createServer } from "#federation/runtime/node-http.ts";

/** Where a process shows its metrics. */
export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

/** Serves `registry` in the Prometheus text format at `/metrics` of `address` (loopback, since nothing here is hardened), and 404 for everything else. */
export async function openMetricsServer(registry: Registry, address: string, port: number): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.url !== "/metrics" || request.method !== "GET") {
      response.writeHead(404, { "content-type": "text/plain" }).end("metrics are at /metrics\n");
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      () => response.writeHead(500, { "content-type": "text/plain" }).end("the metrics could not be collected\n"),
    );
  });
  await listen(server, { host: address, port });
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await closeServer(server);
    },
  };
}
