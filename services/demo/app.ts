import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Clock } from "#federation/runtime/clock.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { DemoService } from "./demo-process.ts";

export type AppKind = "storefront" | "catalog" | "payments";

/** One instance of a demo service: a plain HTTP server that knows nothing of the mesh. */
export interface AppConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly kind: AppKind;
  readonly region: string;
  readonly listen: { readonly address: string; readonly port: number };
  /** How long a request is worked on before it is answered, ms; work in the demo is waiting, not computing. */
  readonly workMs: number;
  /** The own sidecar's outbound port: where a call to another service goes. Only the storefront calls. */
  readonly outbound?: { readonly address: string; readonly port: number };
  /** What a call to another service may take, ms. */
  readonly callDeadlineMs: number;
}

/** How the storefront names what it calls; payments belong to another trust domain, so the whole name is given. */
const catalogHost = "catalog.web";
const paymentsHost = "payments.core.svc.pay.example";
/** Beyond it requests are answered 503 at once. */
const requestsInFlightMax = 2_000;
const connectionsMax = 512;

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** Starts the server; `drain` answers what is in flight and closes. */
export async function startApp(config: AppConfig, clock: Clock): Promise<DemoService> {
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax, scheduling: "fifo", timeout: 15_000 });
  let inFlight = 0;
  let isDraining = false;
  const server = createServer((request, response) => {
    if (request.url === "/healthz") {
      send(response, config, { status: isDraining ? 503 : 200, body: { ready: !isDraining } });
      return;
    }
    if (inFlight >= requestsInFlightMax) {
      send(response, config, { status: 503, body: { error: "too many requests in flight" } });
      return;
    }
    inFlight++;
    response.once("close", () => inFlight--);
    request.resume();
    clock.schedule(config.workMs, () => {
      void answer(config, agent, clock, request).then((reply) => send(response, config, reply));
    });
  });
  // Longer than the proxy in front keeps an idle connection, so that the proxy is the one to close it.
  server.keepAliveTimeout = 180_000;
  await listen(server, { host: config.listen.address, port: config.listen.port });
  return {
    ports: { http: portOf(server) },
    async drain() {
      isDraining = true;
      const closed = closeServer(server);
      server.closeIdleConnections();
      await closed;
      agent.destroy();
    },
  };
}

async function answer(config: AppConfig, agent: Agent, clock: Clock, request: IncomingMessage): Promise<Reply> {
  const path = (request.url ?? "/").split("?")[0];
  const method = request.method ?? "GET";
  if (config.kind === "catalog") return { status: 200, body: { items: ["reef", "lagoon", "islet"], region: config.region } };
  if (config.kind === "payments") return { status: 200, body: { balance: 100, region: config.region } };
  if (method === "GET" && path === "/") return await viaMesh(config, agent, clock, { host: catalogHost, method: "GET", path: "/items" });
  if (method === "GET" && path === "/account") return await viaMesh(config, agent, clock, { host: paymentsHost, method: "GET", path: "/balance" });
  if (method === "POST" && path === "/checkout") return await viaMesh(config, agent, clock, { host: paymentsHost, method: "POST", path: "/charges" });
  return { status: 404, body: { error: `no such page: ${method} ${path}` } };
}

interface Call {
  readonly host: string;
  readonly method: "GET" | "POST";
  readonly path: string;
}

/** Calls another service through the own sidecar; a failure of it becomes a 502 that says what happened. */
function viaMesh(config: AppConfig, agent: Agent, clock: Clock, call: Call): Promise<Reply> {
  const { outbound } = config;
  if (outbound === undefined) return Promise.resolve({ status: 500, body: { error: "this instance has no sidecar to call through" } });
  return new Promise((resolve) => {
    const outgoing = httpRequest(
      { host: outbound.address, port: outbound.port, agent, method: call.method, path: call.path, headers: { host: call.host, "content-length": 0 }, setHost: false },
      (incoming) => {
        const from = String(incoming.headers["x-region"] ?? "unknown");
        incoming.resume();
        incoming.once("error", (error) => resolve({ status: 502, body: { error: error.message } }));
        incoming.once("end", () => {
          const { statusCode = 502 } = incoming;
          resolve({ status: statusCode < 400 ? 200 : 502, body: { service: call.host, status: statusCode, servedBy: from } });
        });
      },
    );
    const deadline = clock.schedule(config.callDeadlineMs, () => outgoing.destroy(new Error(`no answer from ${call.host} within ${config.callDeadlineMs} ms`)));
    outgoing.once("error", (error) => resolve({ status: 502, body: { error: error.message } }));
    outgoing.once("close", () => deadline[Symbol.dispose]());
    outgoing.end();
  });
}

function send(response: ServerResponse, config: AppConfig, reply: Reply): void {
  const body = JSON.stringify(reply.body);
  response.writeHead(reply.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-region": config.region,
    "x-instance": config.name,
  });
  response.end(body);
}
