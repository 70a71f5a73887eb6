import { createServer as createHttpServer } from "node:http";
import type { RequestListener } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import type { ClusterId, RegionId, ServiceHost, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { LocalPlace, Place, RemotePlace, ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import type { TrafficPolicySpec } from "#federation/model/traffic-policy.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { defaultPriority } from "#federation/model/priority-class.ts";
import { throttled, Tries } from "../upstream/chooser.ts";
import type { Candidate, Chooser } from "../upstream/chooser.ts";
import { plainConnector } from "../upstream/connector.ts";
import type { Connector } from "../upstream/connector.ts";
import { PoolSet } from "../upstream/pool-set.ts";
import type { PoolLimits } from "../upstream/pool-environment.ts";
import { PlaceHealth } from "../upstream/place-health.ts";
import { OverloadLines } from "./access-log.ts";
import type { AccessLog } from "./access-log.ts";
import { OutboundRoutes } from "./outbound-routes.ts";
import { OutboundServer } from "./outbound-server.ts";
import type { Stage } from "./exchange.ts";
import type { ServerTimeouts } from "./server-connection.ts";
import { TelemetryStage } from "./telemetry-stage.ts";
import { TimingWheel } from "./timing-wheel.ts";

/** A server of a test, on a port of its own; gone with its test. */
export interface TestOrigin extends AsyncDisposable {
  readonly port: number;
  /** Connections it has seen. */
  readonly sockets: readonly Socket[];
}

/** A real node:http server. */
export async function httpOrigin(handler: RequestListener): Promise<TestOrigin> {
  const server = createHttpServer({ keepAliveTimeout: 0 }, handler);
  return await listen(server);
}

/** A server that speaks for itself, byte by byte. */
export async function rawOrigin(onConnection: (socket: Socket, index: number) => void): Promise<TestOrigin> {
  let count = 0;
  return await listen(createServer({ allowHalfOpen: true }, (socket) => onConnection(socket, count++)));
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const origin = await rawOrigin(() => undefined);
  await origin[Symbol.asyncDispose]();
  return origin.port;
}

async function listen(server: Server): Promise<TestOrigin> {
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => undefined);
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** The caller's own cluster with these ports as endpoints. */
export function localAt(...ports: readonly number[]): LocalPlace {
  return {
    kind: "local",
    cluster: "here" as ClusterId,
    region: "eu" as RegionId,
    endpoints: ports.map((port, index) => ({
      id: `e${index}`,
      address: "127.0.0.1",
      port,
      locality: { region: "eu" as RegionId },
      weight: 1,
      readiness: "ready",
    })),
  };
}

/** Another cluster with these ports as gateways. */
export function remoteAt(cluster: string, ...ports: readonly number[]): RemotePlace {
  return {
    kind: "remote",
    cluster: cluster as ClusterId,
    region: `region-of-${cluster}` as RegionId,
    gateways: ports.map((port) => ({ address: "127.0.0.1", port })),
    gatewayIdentity: `spiffe://shop.example/atoll/gateway/${cluster}` as SpiffeId,
    endpointsReady: 2,
    endpointsTotal: 2,
    asOfMs: 0,
  };
}

/** web/catalog of shop.example, port 80, at `places`. */
export function catalogAt(places: readonly Place[], policy: Partial<TrafficPolicySpec> = {}): ServiceView {
  return {
    ref: { namespace: "web", name: "catalog", trustDomain: "shop.example" as TrustDomainName },
    host: "catalog.web.svc.shop.example" as ServiceHost,
    aliases: ["catalog.web"],
    ports: [{ name: "http", port: 80, protocol: "http" }],
    serverIdentities: [],
    policy: { ...defaultTrafficPolicy, ...policy },
    places,
  };
}

/** A snapshot that holds these services and nothing else. */
export function snapshotOf(...services: readonly ServiceView[]): Snapshot {
  return {
    generation: { epoch: 1, revision: 1 },
    services: new Map(services.map((service) => [service.host, service])),
    bundles: new Map(),
    inbound: new Map(),
    gatewayRoutes: new Map(),
  };
}

/** How a test's proxy differs from the usual. */
export interface TestProxyOptions {
  readonly policy?: Partial<TrafficPolicySpec>;
  readonly log?: Partial<Pick<AccessLog, "format" | "filter">>;
  readonly timeouts?: ServerTimeouts;
  readonly connectionsMax?: number;
  readonly requestsInFlightMax?: number;
  /** Any that is free unless given. */
  readonly port?: number;
  readonly isEdge?: boolean;
  readonly guard?: Stage;
  readonly poolLimits?: PoolLimits;
  /** Plain connections unless given. */
  readonly connector?: Connector;
}

/** The outbound side of a proxy on real sockets and a virtual clock, with plain hops to the places of web/catalog. */
export class TestProxy implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly logLines: string[] = [];
  readonly telemetry: TelemetryStage;
  readonly routes: OutboundRoutes;
  readonly pools: PoolSet;
  readonly health: PlaceHealth;
  readonly wheel: TimingWheel;
  #server: OutboundServer | undefined;

  private constructor(options: TestProxyOptions) {
    const random = createSeededRandom(7);
    const sink = { write: (line: string) => void this.logLines.push(line) };
    this.telemetry = new TelemetryStage(this.clock, { format: "text", filter: "all", ...options.log, sink, overload: new OverloadLines() });
    this.wheel = new TimingWheel(this.clock);
    this.health = new PlaceHealth(this.clock, { region: "eu" as RegionId, cluster: "here" as ClusterId, roundTripMs: new Map() });
    this.pools = new PoolSet({ connector: options.connector ?? plainConnector, clock: this.clock, random, wheel: this.wheel, ...(options.poolLimits && { limits: options.poolLimits }) });
    this.routes = new OutboundRoutes({ pools: this.pools, board: this.health, clock: this.clock, random });
  }

  static async open(places: readonly Place[], options: TestProxyOptions = {}): Promise<TestProxy> {
    const proxy = new TestProxy(options);
    proxy.routes.apply(snapshotOf(catalogAt(places, options.policy)));
    proxy.#server = await OutboundServer.open({
      ...options,
      address: "127.0.0.1",
      port: options.port ?? 0,
      clock: proxy.clock,
      random: createSeededRandom(11),
      wheel: proxy.wheel,
      telemetry: proxy.telemetry,
      findRoute: (host) => proxy.routes.find(host),
    });
    return proxy;
  }

  get server(): OutboundServer {
    if (this.#server === undefined) throw new Error("the test proxy is not open");
    return this.#server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.drain(AbortSignal.abort());
    for (const pool of this.pools.pools()) pool.purge();
  }
}

/** A client that sees every byte. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  text = "";
  ended = false;
  closed = false;
  failed = false;
  readonly #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    const wake = (): void => {
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString("latin1");
      wake();
    });
    socket.on("end", () => {
      this.ended = true;
      wake();
    });
    socket.on("error", () => {
      this.failed = true;
    });
    socket.on("close", () => {
      this.closed = true;
      wake();
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  write(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves once `isDone` holds; the test's own limit bounds it. Throws when the connection closes before. */
  async until(isDone: (client: this) => boolean): Promise<void> {
    while (!isDone(this)) {
      if (this.closed) throw new Error(`the connection closed before; got ${JSON.stringify(this.text.slice(-300))}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Resolves once the connection has ended, whichever way, with all it received. */
  async untilEnd(): Promise<string> {
    while (!this.ended && !this.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.text;
  }

  /** Waits for one response with Content-Length, takes it off and returns it. */
  async response(): Promise<{ readonly status: number; readonly head: string; readonly body: string }> {
    await this.until(() => this.text.includes("\r\n\r\n"));
    const headEnd = this.text.indexOf("\r\n\r\n") + 4;
    const head = this.text.slice(0, headEnd);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    await this.until(() => this.text.length >= headEnd + length);
    const body = this.text.slice(headEnd, headEnd + length);
    this.text = this.text.slice(headEnd + length);
    return { status: Number(head.slice(9, 12)), head, body };
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** What a chooser gives a request of the usual class that has tried what `tries` says. */
export function chosenBy(chooser: Chooser, tries: Tries = new Tries()): Candidate | undefined {
  const candidate = chooser.choose(tries, defaultPriority);
  if (candidate === throttled) throw new Error("the chooser throttles");
  return candidate;
}

/** A request for web/catalog. */
export function requestFor(method: string, path: string, fields = "", body = ""): string {
  const length = body === "" && method === "GET" ? "" : `Content-Length: ${Buffer.byteLength(body, "latin1")}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: catalog.web\r\n${fields}${length}\r\n${body}`;
}

/** Lets sockets do what is under way until `isDone`; bounded by the test's own limit. */
export async function eventually(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise<void>((resolve) => setImmediate(resolve));
}
