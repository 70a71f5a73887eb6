import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Clock } from "#federation/runtime/clock.ts";
import { openControlServer } from "#federation/runtime/control-socket.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import { Agent, createServer, request as httpRequest } from "#federation/runtime/node-http.ts";
import { numberParam } from "./control-params.ts";
import type { DemoService } from "./demo-process.ts";

export type AppKind = "storefront" | "catalog" | "payments";

/** The demo services of one region, in one process: plain HTTP servers that know nothing of the mesh. */
export interface AppsConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly region: string;
  /** What a call to another service may take, ms. */
  readonly callDeadlineMs: number;
  readonly apps: readonly AppConfig[];
}

/** One instance of a demo service. */
export interface AppConfig {
  readonly name: string;
  readonly kind: AppKind;
  readonly listen: { readonly address: string; readonly port: number };
  /** How long a request is worked on before it is answered, ms; work in the demo is waiting, not computing. */
  readonly workMs: number;
  /** The own sidecar's outbound port: where a call to another service goes. Only the storefront calls. */
  readonly outbound?: { readonly address: string; readonly port: number };
}

/** How the storefront names what it calls; payments belong to another trust domain, so the whole name is given. */
const catalogHost = "catalog.web";
const paymentsHost = "payments.core.svc.pay.example";
/** Beyond it requests are answered 503 at once. */
const requestsInFlightMax = 2_000;
const connectionsMax = 512;
/** Longer work than this would run into the limits on the way. */
export const workMsMax = 10_000;

/** The name of the control socket in the data directory. */
export const appsSocketName = "control.sock";

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** Starts the servers; `drain` answers what is in flight and closes. The control operation `work` tells the region's storefronts how long to work. */
export async function startApps(config: AppsConfig, clock: Clock): Promise<DemoService> {
  const apps = config.apps.map((app) => new App(app, config, clock));
  const control = await openControlServer(join(config.dataDir, appsSocketName), {
    work: (params) => {
      const workMs = numberParam(params, "workMs", { min: 0, max: workMsMax });
      for (const app of apps) if (app.kind === "storefront") app.workMs = workMs;
    },
  });
  const ports = await Promise.all(apps.map(async (app) => [app.name, await app.open()] as const));
  return {
    ports: Object.fromEntries(ports),
    async drain() {
      await Promise.all(apps.map((app) => app.drain()));
      await control[Symbol.asyncDispose]();
    },
  };
}

class App {
  readonly kind: AppKind;
  workMs: number;
  readonly #config: AppConfig;
  readonly #region: string;
  readonly #clock: Clock;
  readonly #callDeadlineMs: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connectionsMax, scheduling: "fifo", timeout: 15_000 });
  readonly #server: Server;
  #inFlight = 0;
  #isDraining = false;

  constructor(config: AppConfig, { region, callDeadlineMs }: AppsConfig, clock: Clock) {
    this.kind = config.kind;
    this.workMs = config.workMs;
    this.#config = config;
    this.#region = region;
    this.#clock = clock;
    this.#callDeadlineMs = callDeadlineMs;
    this.#server = createServer((request, response) => this.#onRequest(request, response));
    // Longer than the proxy in front keeps an idle connection, so that the proxy is the one to close it.
    this.#server.keepAliveTimeout = 180_000;
  }

  get name(): string {
    return this.#config.name;
  }

  /** Returns the port. */
  async open(): Promise<number> {
    const { address, port } = this.#config.listen;
    await listen(this.#server, { host: address, port });
    return portOf(this.#server);
  }

  async drain(): Promise<void> {
    this.#isDraining = true;
    const closed = closeServer(this.#server);
    this.#server.closeIdleConnections();
    await closed;
    this.#agent.destroy();
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (request.url === "/healthz") {
      this.#send(response, { status: this.#isDraining ? 503 : 200, body: { ready: !this.#isDraining } });
      return;
    }
    if (this.#inFlight >= requestsInFlightMax) {
      this.#send(response, { status: 503, body: { error: "too many requests in flight" } });
      return;
    }
    this.#inFlight++;
    response.once("close", () => this.#inFlight--);
    request.resume();
    this.#clock.schedule(this.workMs, () => {
      void this.#answer(request).then((reply) => this.#send(response, reply));
    });
  }

  async #answer(request: IncomingMessage): Promise<Reply> {
    const path = (request.url ?? "/").split("?")[0];
    const method = request.method ?? "GET";
    if (this.kind === "catalog") return { status: 200, body: { items: ["reef", "lagoon", "islet"], region: this.#region } };
    if (this.kind === "payments") return { status: 200, body: { balance: 100, region: this.#region } };
    if (method === "GET" && path === "/") return await this.#viaMesh({ host: catalogHost, method: "GET", path: "/items" });
    if (method === "GET" && path === "/account") return await this.#viaMesh({ host: paymentsHost, method: "GET", path: "/balance" });
    if (method === "POST" && path === "/checkout") return await this.#viaMesh({ host: paymentsHost, method: "POST", path: "/charges" });
    return { status: 404, body: { error: `no such page: ${method} ${path}` } };
  }

  /** Calls another service through the own sidecar; a failure of it becomes a 502 that says what happened. */
  #viaMesh(call: Call): Promise<Reply> {
    const { outbound } = this.#config;
    if (outbound === undefined) return Promise.resolve({ status: 500, body: { error: "this instance has no sidecar to call through" } });
    return new Promise((resolve) => {
      const outgoing = httpRequest(
        { host: outbound.address, port: outbound.port, agent: this.#agent, method: call.method, path: call.path, headers: { host: call.host, "content-length": 0 }, setHost: false },
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
      const limitMs = this.#callDeadlineMs;
      const deadline = this.#clock.schedule(limitMs, () => outgoing.destroy(new Error(`no answer from ${call.host} within ${limitMs} ms`)));
      outgoing.once("error", (error) => resolve({ status: 502, body: { error: error.message } }));
      outgoing.once("close", () => deadline[Symbol.dispose]());
      outgoing.end();
    });
  }

  #send(response: ServerResponse, reply: Reply): void {
    const body = JSON.stringify(reply.body);
    response.writeHead(reply.status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "x-region": this.#region,
      "x-instance": this.name,
    });
    response.end(body);
  }
}

interface Call {
  readonly host: string;
  readonly method: "GET" | "POST";
  readonly path: string;
}
