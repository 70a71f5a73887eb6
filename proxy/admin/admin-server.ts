import type { ServerResponse } from "node:http";
import type { Explanation } from "#federation/routing/explain.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import { createServer } from "#federation/runtime/node-http.ts";

/** What a proxy can show of itself. Everything is computed when asked for. */
export interface AdminViews {
  /** Empty when the proxy serves; otherwise why not. */
  readonly unreadyBecause: () => readonly string[];
  readonly stats: () => unknown;
  readonly snapshot: () => unknown;
  readonly config: unknown;
  /** Undefined when the service is not known here. */
  readonly explain: (service: string) => Explanation | undefined;
}

export interface AdminServer extends AsyncDisposable {
  readonly port: number;
}

const loopback = "127.0.0.1";

/** The proxy's own page for operators and the command line, on loopback only: it shows everything and changes nothing. */
export async function openAdminServer(views: AdminViews, port: number): Promise<AdminServer> {
  const server = createServer({ requestTimeout: 10_000, maxHeaderSize: 8_192 }, (request, response) => {
    if (request.method !== "GET") {
      send(response, 405, { error: "this page only answers GET" });
      return;
    }
    try {
      answer(new URL(request.url ?? "/", "http://localhost"), views, response);
    } catch (error) {
      send(response, 500, { error: describeError(error) });
    }
  });
  await listen(server, { host: loopback, port });
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await closeServer(server);
    },
  };
}

function answer(url: URL, views: AdminViews, response: ServerResponse): void {
  switch (url.pathname) {
    case "/healthz":
      return send(response, 200, { alive: true });
    case "/ready": {
      const because = views.unreadyBecause();
      return send(response, because.length === 0 ? 200 : 503, { ready: because.length === 0, because });
    }
    case "/stats":
      return send(response, 200, views.stats());
    case "/snapshot":
      return send(response, 200, views.snapshot());
    case "/config":
      return send(response, 200, views.config);
    case "/explain":
      return explain(url.searchParams.get("service"), views, response);
    default:
      return send(response, 404, { error: "no such page", pages: ["/ready", "/healthz", "/stats", "/snapshot", "/config", "/explain?service=namespace/name"] });
  }
}

function explain(service: string | null, views: AdminViews, response: ServerResponse): void {
  if (service === null || service === "") return send(response, 400, { error: "say which: /explain?service=namespace/name" });
  const explanation = views.explain(service);
  if (explanation === undefined) send(response, 404, { error: "no such service is known here", service });
  else send(response, 200, explanation);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body, plainly, 2)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text), "cache-control": "no-store" }).end(text);
}

/** Numbers that JSON cannot say become null by its own rule; bytes and maps would become noise. */
function plainly(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value);
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
