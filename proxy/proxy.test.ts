import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterId, RegionId, ServiceHost, SpiffeId } from "#federation/model/names.ts";
import { workloadId, type PortProtocol } from "#federation/model/service.ts";
import type { EndpointView, InboundPort, Place, ServiceView } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { DnsServer } from "#federation/runtime/dns/dns-server-fixture.ts";
import { readConfig } from "#federation/runtime/config.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { encodeResource } from "#federation/wire/discovery-messages.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { proxyConfigField } from "./config.ts";
import { TestPlane } from "./control/plane-fixture.ts";
import { runGateway } from "./gateway.ts";
import { runSidecar } from "./sidecar.ts";
import { createTestTrustDomain } from "./tls/identity-fixture.ts";
import { TestWorkload } from "./workload-api/workload-client-fixture.ts";

// Whole proxies on real sockets, with a plane in little: everything here waits for states, never for times.

const shop = createTestTrustDomain("shop.example");
const { trustDomain } = shop.bundle;
const host = "catalog.web.svc.shop.example" as ServiceHost;
const sni = `p80.${host}`;
const tcpSni = `p90.${host}`;

let dataDir = "";
const running: Running[] = [];
const planes: TestPlane[] = [];
const closers: (() => void)[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "atoll-proxy-"));
});
afterEach(async () => {
  for (const proxy of running.splice(0)) await proxy.stop();
  for (const plane of planes.splice(0)) await plane[Symbol.asyncDispose]();
  for (const close of closers.splice(0)) close();
  rmSync(dataDir, { recursive: true, force: true });
});

interface Running {
  readonly ports: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

async function openPlane(cluster = "shop-eu", port = 0, federation?: TestPlane["federation"], address?: string): Promise<TestPlane> {
  const plane = new TestPlane(cluster, shop, federation);
  await plane.open(port, address);
  plane.show({ bundles: [shop.bundle] });
  planes.push(plane);
  return plane;
}

async function start(name: string, token: string | undefined, more: object): Promise<Running> {
  const directory = join(dataDir, name);
  const joinTokenFile = join(dataDir, `${name}.token`);
  if (token !== undefined) writeFileSync(joinTokenFile, token);
  rmSync(join(directory, "ready.json"), { force: true });
  const ports = { outbound: 0, inbound: 0, gateway: 0, admin: 0, metrics: 0 };
  const text = JSON.stringify({ mode: "sidecar", name, dataDir: directory, joinTokenFile, address: "127.0.0.1", region: "eu-west", ports, drainMs: 500, ...more });
  const config = readConfig(text, name, proxyConfigField);
  const stop = new AbortController();
  const parts = { clock: systemClock, random: systemRandom, logger: silentLogger };
  let failure: unknown;
  const ended = (config.mode === "gateway" ? runGateway : runSidecar)(config, parts, stop.signal).catch((error: unknown) => {
    failure = error ?? new Error("failed");
  });
  const ready = await eventually(() => {
    if (failure !== undefined) throw failure;
    return JSON.parse(readFileSync(join(directory, "ready.json"), "utf8")) as { readonly ports: Readonly<Record<string, number>> };
  });
  const proxy: Running = {
    ports: ready.ports,
    async stop() {
      stop.abort();
      await ended;
      if (failure !== undefined) throw failure;
      const at = running.indexOf(proxy);
      if (at !== -1) running.splice(at, 1);
    },
  };
  running.push(proxy);
  return proxy;
}

/** Asks until `look` neither throws nor gives undefined; the test's own time limit is the bound. */
async function eventually<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    try {
      const value = await look();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      if (error instanceof Error && !("code" in error && error.code === "ENOENT") && error.name !== "AssertionError") throw error;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function get(port: number, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return call({ port, path, headers });
}

function call(options: { readonly port: number; readonly path: string; readonly method?: "GET" | "POST"; readonly headers: Readonly<Record<string, string>> }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", agent: false, ...options }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(options.method === "POST" ? "hello" : undefined);
  });
}

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** An application that says its name and who called. */
function openApp(name: string): Promise<number> {
  return listen(createServer((request, response) => response.end(`${name} for ${String(request.headers["x-forwarded-client-cert"]).replace(/.*URI=/, "")}`)));
}

function endpoint(port: number): EndpointView {
  return { id: `e${port}`, address: "127.0.0.1", port, locality: { region: "eu-west" as RegionId }, weight: 1, readiness: "ready" };
}

function catalog(places: readonly Place[]): ServiceView {
  return {
    ref: { namespace: "web", name: "catalog", trustDomain },
    host,
    aliases: ["catalog.web"],
    ports: [
      { name: "http", port: 80, protocol: "http" },
      { name: "tcp", port: 90, protocol: "tcp" },
    ],
    serverIdentities: [workloadId(trustDomain, "web", "catalog")],
    policy: defaultTrafficPolicy,
    places,
  };
}

function localPlace(ports: readonly number[]): Place {
  return { kind: "local", cluster: "shop-eu" as ClusterId, region: "eu-west" as RegionId, endpoints: ports.map(endpoint) };
}

function inboundOf(principals: InboundPort["callers"][number]["principals"] = ["*"]): ReadonlyMap<string, InboundPort> {
  const port = (number: number, protocol: PortProtocol): InboundPort => ({
    ref: { namespace: "web", name: "catalog", trustDomain },
    port: { name: protocol, port: number, protocol },
    callers: [{ trustDomain, principals }],
  });
  return new Map([
    [sni, port(80, "http")],
    [tcpSni, port(90, "tcp")],
  ]);
}

const catalogPath = "/ns/web/sa/catalog";
const storefrontPath = "/ns/web/sa/storefront";

function catalogWorkload(appPort: number, tcpPort = appPort): object {
  const service = { namespace: "web", service: "catalog" };
  return {
    workload: {
      instanceId: "catalog-1",
      services: [
        { ...service, port: 80, appPort },
        { ...service, port: 90, appPort: tcpPort },
      ],
      readiness: { intervalMs: 100 },
    },
  };
}

/** A storefront that calls the catalog through `plane`'s cluster, once it is answered. */
async function startCallerAndCallee(plane: TestPlane): Promise<{ readonly client: Running; readonly server: Running; readonly workload: object }> {
  plane.show({ inbound: new Map([[catalogPath, inboundOf()]]) });
  const workload = catalogWorkload(await openApp("catalog"));
  const server = await start("catalog", plane.token(catalogPath), workload);
  plane.show({ services: [catalog([localPlace([server.ports["inbound"] ?? 0])])] });
  const client = await start("storefront", plane.token(storefrontPath), {});
  await eventually(async () => ((await get(client.ports["outbound"] ?? 0, "/", { host })).status === 200 ? true : undefined));
  return { client, server, workload };
}

async function adminJson(proxy: Running, path: string): Promise<never> {
  return JSON.parse((await get(proxy.ports["admin"] ?? 0, path)).body) as never;
}

/** What docs/overload.md tells operators to look at. */
const overloadMetrics = [
  ...["limit", "in_use", "streams", "queue_length", "queue_delay_milliseconds", "latency_milliseconds", "baseline_milliseconds", "admitted_total", "refused_total"].map((name) => `atoll_admission_${name}`),
  "atoll_proxy_overloaded_total",
  "atoll_event_loop_delay_milliseconds",
  "atoll_process_stalled_milliseconds_total",
  "atoll_refused_total",
  "atoll_caller_throttled_total",
  "atoll_deadline_exceeded_total",
  "atoll_request_retries_total",
  "atoll_priority_claims_ignored_total",
  "atoll_connections_active",
  "atoll_hop_sessions",
  "atoll_hop_streams",
  "atoll_hop_refused_total",
  "atoll_http_connections_refused_total",
  "atoll_hop_faults_total",
  "atoll_hop_silences_total",
  "atoll_upstream_streams",
  "atoll_upstream_requests_waiting",
  "atoll_tls_handshakes_total",
];

/** Of a file that has its key in front of it. */
const chainIn = (text: string): string => text.slice(text.indexOf("-----BEGIN CERTIFICATE-----"));

describe("a sidecar", () => {
  it("joins, registers when its app answers, and carries HTTP and TCP to its peer as itself", async () => {
    const plane = await openPlane();
    plane.show({ inbound: new Map([[catalogPath, inboundOf()]]) });
    const echo = await listen(createTcpServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)));
    const server = await start("catalog", plane.token(catalogPath), catalogWorkload(await openApp("catalog"), echo));
    const report = await eventually(() => plane.reports.find((candidate) => candidate.ready));
    expect(report).toMatchObject({ instanceId: "catalog-1", address: "127.0.0.1", inboundPort: server.ports["inbound"], draining: false });
    plane.show({ services: [catalog([localPlace([report.inboundPort])])] });
    const client = await start("storefront", plane.token(storefrontPath), { tcpListeners: [{ port: 0, service: "web/catalog", servicePort: 90 }] });

    const answer = await eventually(async () => {
      const got = await get(client.ports["outbound"] ?? 0, "/", { host: "catalog.web" });
      return got.status === 200 ? got : undefined;
    });
    expect(answer.body).toBe("catalog for spiffe://shop.example/ns/web/sa/storefront");
    expect(await get(client.ports["outbound"] ?? 0, "/", { host: "ledger.core" })).toMatchObject({ status: 404 });

    const sent = Buffer.alloc(700_000, "tcp");
    const socket = connect(client.ports["tcp0"] ?? 0, "127.0.0.1");
    socket.end(sent);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);

    expect(await adminJson(client, "/explain?service=web/catalog")).toMatchObject({ chosen: "shop-eu", from: { region: "eu-west", cluster: "shop-eu" } });
    expect(await adminJson(client, "/ready")).toEqual({ ready: true, because: [] });
    expect(await adminJson(client, "/snapshot")).toMatchObject({ source: "plane", ageMs: 0 });
    expect(JSON.stringify(await adminJson(client, "/stats"))).toContain('"requests":1,"failures":0');
    const metrics = (await get(client.ports["metrics"] ?? 0, "/metrics")).body;
    expect(metrics).toMatch(/atoll_requests_total\{reporter="source",destination_service="catalog\.web\.svc\.shop\.example",destination_cluster="shop-eu",destination_region="eu-west",response_code="200",response_flags="-"\} 1/);
    expect(metrics).toContain("atoll_request_duration_milliseconds_bucket");
    for (const name of overloadMetrics) expect(metrics).toContain(`# TYPE ${name} `);

    await server.stop();
    expect(plane.reports.at(-1)).toMatchObject({ draining: true });
  });

  it("is called only by those whom its rules name, and tells all others so at once", async () => {
    const plane = await openPlane();
    plane.show({ inbound: new Map([[catalogPath, inboundOf([workloadId(trustDomain, "web", "storefront")])]]) });
    const server = await start("catalog", plane.token(catalogPath), catalogWorkload(await openApp("catalog")));
    plane.show({ services: [catalog([localPlace([server.ports["inbound"] ?? 0])])] });
    const friend = await start("storefront", plane.token(storefrontPath), {});
    const stranger = await start("stranger", plane.token("/ns/web/sa/stranger"), {});
    const ask = (proxy: Running): Promise<Answer> => get(proxy.ports["outbound"] ?? 0, "/", { host });
    const metricsOf = async (proxy: Running): Promise<string> => (await get(proxy.ports["metrics"] ?? 0, "/metrics")).body;
    expect(await ask(friend)).toMatchObject({ status: 200 });
    for (let count = 0; count < 8; count++) expect(await ask(stranger)).toEqual({ status: 403, body: "caller_not_allowed\n" });
    // One try each, no evidence against the place, and the reason on both sides.
    const explained: { readonly places: readonly { readonly verdict: string; readonly lowered: boolean; readonly because: string }[] } = await adminJson(stranger, "/explain?service=web/catalog");
    expect(explained.places).toMatchObject([{ verdict: "healthy", lowered: false, because: expect.stringMatching(/^refuses us: caller_not_allowed, last at 20.*Z; own cluster/) }]);
    expect(await metricsOf(stranger)).toContain('atoll_refused_total{reason="caller_not_allowed",side="outbound"} 8');
    expect(await metricsOf(stranger)).toMatch(/response_code="403",response_flags="UAEX"\} 8/);
    expect(await metricsOf(stranger)).not.toMatch(/atoll_request_retries_total\{.*\} [1-9]/);
    expect(await metricsOf(server)).toContain('atoll_refused_total{reason="caller_not_allowed",side="inbound"} 8');
    plane.show({ inbound: new Map([[catalogPath, inboundOf([])]]) });
    await eventually(async () => {
      const { status } = await ask(friend);
      expect([200, 403]).toContain(status);
      return status === 403 ? true : undefined;
    });
  });

  it("hands its application the identity it calls with, from before its plane answers, and each renewed one", async () => {
    const plane = await openPlane();
    const socket = join(dataDir, "workload", "api.sock");
    const token = plane.token(storefrontPath);
    await plane[Symbol.asyncDispose]();
    const starting = start("storefront", token, { workloadApi: { path: socket } });
    using application = new TestWorkload(socket);
    await eventually(() => statSync(socket).isSocket());
    expect(await application.svids().ended, "no plane answers yet").toMatchObject({ code: status.UNAVAILABLE });
    plane.svidValidityMs = 10_000;
    await plane.reopen();
    const proxy = await starting;
    let following = application.svids();
    // On a host that is late by seconds an SVID ends before the next one is there, and so does the stream.
    while (!(await following.atLeast(2).then(() => true, () => false))) following = application.svids();
    const [first, second] = following.messages.map(({ svids: [entry] }) => ({ id: entry?.spiffeId, serial: new X509Certificate(entry?.x509Svid ?? Buffer.alloc(0)).serialNumber }));
    expect([first?.id, second?.id]).toEqual(Array(2).fill(`spiffe://shop.example${storefrontPath}`));
    expect(second?.serial).not.toBe(first?.serial);
    expect((await get(proxy.ports["metrics"] ?? 0, "/metrics")).body).toContain('atoll_workload_api_streams{method="FetchX509SVID"} 1');
    await proxy.stop();
    expect(await following.ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(existsSync(socket)).toBe(false);
  });

  it("ends with one clear error where others may write to its socket's directory, has used no token, and has not crashed", async () => {
    const plane = await openPlane();
    const open = join(dataDir, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    await expect(start("storefront", plane.token(storefrontPath), { workloadApi: { path: join(open, "api.sock") } })).rejects.toMatchObject({ code: "ATOLL_SOCKET_UNSAFE", message: expect.stringContaining(open) });
    expect(JSON.parse(readFileSync(join(dataDir, "storefront", "lkg", "starts.json"), "utf8"))).toEqual({ starts: 0 });
    await start("storefront", undefined, { workloadApi: { path: join(dataDir, "api.sock") } });
  });

  it("starts cold from disk while no plane runs, and serves", async () => {
    const plane = await openPlane();
    plane.show({ inbound: new Map([[catalogPath, inboundOf()]]) });
    const app = await openApp("catalog");
    const first = await start("catalog", plane.token(catalogPath), catalogWorkload(app));
    const inbound = first.ports["inbound"] ?? 0;
    plane.show({ services: [catalog([localPlace([inbound])])] });
    const client = await start("storefront", plane.token(storefrontPath), {});
    await eventually(async () => ((await get(client.ports["outbound"] ?? 0, "/", { host })).status === 200 ? true : undefined));
    await client.stop();
    await first.stop();
    await plane[Symbol.asyncDispose]();

    const ports = { outbound: 0, inbound, gateway: 0, admin: 0, metrics: 0 };
    await start("catalog", undefined, { ...catalogWorkload(app), ports });
    const again = await start("storefront", undefined, {});
    expect(await get(again.ports["outbound"] ?? 0, "/", { host })).toEqual({ status: 200, body: "catalog for spiffe://shop.example/ns/web/sa/storefront" });
    const snapshot: { readonly source: string; readonly ageMs: number } = await adminJson(again, "/snapshot");
    expect(snapshot.source).toBe("disk");
    expect(snapshot.ageMs).toBeGreaterThan(0);
  });

  it("starts cold from a disk that takes nothing, serves, and says where it is reached when that takes something", async () => {
    const plane = await openPlane();
    const { client } = await startCallerAndCallee(plane);
    const outbound = client.ports["outbound"] ?? 0;
    await client.stop();
    await plane.close();
    const folder = join(dataDir, "storefront");
    const inTheWay = [join(folder, "ready.json.tmp"), join(folder, "lkg", "starts.json")];
    for (const path of inTheWay) {
      rmSync(path, { force: true });
      mkdirSync(join(path, "in-the-way"), { recursive: true });
    }
    const starting = start("storefront", undefined, { ports: { outbound, inbound: 0, gateway: 0, admin: 0, metrics: 0 } });
    await eventually(async () => ((await get(outbound, "/", { host }).catch(() => undefined))?.status === 200 ? true : undefined));
    expect(existsSync(join(folder, "ready.json"))).toBe(false);
    for (const path of inTheWay) rmSync(path, { recursive: true });
    expect((await starting).ports).toMatchObject({ outbound });
  }, 60_000);

  it("refuses what it cannot read, keeps what it has, and says which versions it holds when it comes back", async () => {
    const plane = await openPlane();
    plane.show({ services: [catalog([localPlace([1])])] });
    const client = await start("storefront", plane.token(storefrontPath), {});
    const typeUrl = resourceTypeUrls.service;
    plane.sendRaw({ typeUrl, resources: [encodeResource({ name: host, version: "bad", typeUrl, value: Buffer.from([255, 255]) })], removed: [] });
    const nack = await eventually(() => plane.requests.find((request) => request.fault !== undefined));
    expect(nack.typeUrl).toBe(typeUrl);
    expect(nack.responseNonce).toMatch(/^raw/);
    expect(await adminJson(client, "/snapshot")).toMatchObject({ nacks: 1, services: [{ service: host }] });

    const { discoveryPort, federation } = plane;
    await plane[Symbol.asyncDispose]();
    const next = await openPlane("shop-eu", discoveryPort, federation);
    next.show({ services: [catalog([localPlace([1])])] });
    const resumed = await eventually(() => next.requests.find((request) => request.typeUrl === typeUrl && request.responseNonce === ""));
    expect(Object.keys(resumed.initialVersions)).toEqual([host]);
  });

  it("ends with one clear error when its token was used already", async () => {
    const plane = await openPlane();
    const token = plane.token(storefrontPath);
    await start("first", token, {});
    await expect(start("second", token, {})).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
  });

  it("joins and follows a plane by its name, also when one of its addresses is dead and when the plane moves", async () => {
    const name = "plane.shop.example";
    await using dns = await DnsServer.open();
    dns.set(name, { addresses: ["127.0.0.9", "127.0.0.1"], ttlSeconds: 300 });
    const plane = await openPlane();
    const { discoveryPort } = plane;
    const client = await start("storefront", plane.token(storefrontPath, { host: name }), { discovery: [`${name}:${discoveryPort}`], dns: { servers: [dns.server] } });
    interface Shown {
      readonly connected: boolean;
      readonly services: readonly unknown[];
    }
    const shows = async (isShown: (shown: Shown) => boolean): Promise<true | undefined> => (isShown(await adminJson(client, "/snapshot")) ? true : undefined);
    await eventually(() => shows(({ connected }) => connected));
    const moved = await openPlane("shop-eu", discoveryPort, plane.federation, "127.0.0.2");
    moved.show({ services: [catalog([])] });
    dns.set(name, { addresses: ["127.0.0.2"], ttlSeconds: 300 });
    planes.splice(planes.indexOf(plane), 1);
    await plane[Symbol.asyncDispose]();
    await eventually(() => shows(({ connected, services }) => connected && services.length === 1));
  });

  it("joins with one key until it has an answer, and again by itself, with another key, when its identity has expired", async () => {
    const plane = await openPlane();
    plane.joinAnswersToLose = 1;
    plane.renewsNobody = true;
    plane.svidValidityMs = 3_000;
    await start("returning", plane.token("/ns/web/sa/returning", { uses: "many" }), {});
    const keys = await eventually(() => (plane.joinKeys.length >= 3 ? plane.joinKeys.slice(0, 3) : undefined));
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
  }, 60_000);

  it("joins by what is attested as soon as it is, and again by itself, as the same instance, by the document of the day", async () => {
    const plane = await openPlane();
    plane.renewsNobody = true;
    plane.svidValidityMs = 3_000;
    plane.documents.set("second.day.x", "/ns/web/sa/attested");
    const tokenFile = join(dataDir, "pod-token");
    // Refused at first: the plane does not know this document, and another may be had the next time.
    writeFileSync(tokenFile, "first.day.x");
    const starting = start("attested", undefined, { joinTokenFile: "", joinAttest: plane.joinAttest(tokenFile) });
    await eventually(() => (plane.joinKeys.length > 0 ? true : undefined));
    writeFileSync(tokenFile, "second.day.x\n");
    await starting;
    const joined = plane.joinKeys.length;
    plane.documents.set("third.day.x", "/ns/web/sa/attested");
    plane.documents.delete("second.day.x");
    await eventually(() => (plane.joinKeys.length > joined ? true : undefined));
    writeFileSync(tokenFile, "third.day.x");
    plane.renewsNobody = false;
    await eventually(() => (plane.renewals > 0 ? true : undefined));
    expect(new Set(plane.joinKeys).size).toBe(1);
  }, 60_000);

  it("serves for several lives of its identity while nothing of its plane but the join port is open", async () => {
    const plane = await openPlane();
    plane.svidValidityMs = 4_000;
    const { client } = await startCallerAndCallee(plane);
    await plane.closeDiscovery();
    const statuses = new Set<number>();
    while (plane.keyRenewals < 8) statuses.add((await get(client.ports["outbound"] ?? 0, "/", { host })).status);
    expect([...statuses]).toEqual([200]);
  }, 60_000);

  it("comes back by itself when its plane was away for longer than its identity lives, also when it was restarted meanwhile and its token is used up", async () => {
    const plane = await openPlane();
    plane.svidValidityMs = 3_000;
    const { client, server, workload } = await startCallerAndCallee(plane);
    const answers = (status: number) => eventually(async () => ((await get(client.ports["outbound"] ?? 0, "/", { host })).status === status ? true : undefined));
    await plane.close();
    await answers(503);
    await server.stop();
    plane.svidValidityMs = 3_600_000;
    const restarting = start("catalog", undefined, { ...workload, ports: { outbound: 0, inbound: server.ports["inbound"], gateway: 0, admin: 0, metrics: 0 } });
    await plane.reopen();
    await restarting;
    await answers(200);
    expect(plane.joinKeys).toHaveLength(2);
    expect(plane.keyRenewals).toBeGreaterThanOrEqual(2);
  }, 60_000);

  it.each(["plane.json", "bundles.json"])("finds its plane again by its key when %s is damaged, as by a disk, and its token is used up", async (file) => {
    const plane = await openPlane();
    const { client, server, workload } = await startCallerAndCallee(plane);
    const answers = () => eventually(async () => ((await get(client.ports["outbound"] ?? 0, "/", { host })).status === 200 ? true : undefined));
    await answers();
    await server.stop();
    writeFileSync(join(dataDir, "catalog", "identity", file), Buffer.alloc(512));
    await start("catalog", undefined, { ...workload, ports: { outbound: 0, inbound: server.ports["inbound"], gateway: 0, admin: 0, metrics: 0 } });
    await answers();
    expect(plane.joinKeys).toHaveLength(2);
    expect(plane.keyRenewals).toBe(1);
  }, 60_000);

  it("joins by its token when neither its plane nor its key is known any more, and says so when that is used up", async () => {
    const plane = await openPlane();
    plane.renewsNobody = true;
    const proxy = await start("edge", plane.token("/ns/web/sa/edge"), {});
    await proxy.stop();
    rmSync(join(dataDir, "edge", "identity", "plane.json"));
    await expect(start("edge", undefined, {})).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    await start("edge", plane.token("/ns/web/sa/edge"), {});
  }, 60_000);

  it("serves for several lives of its identity while its disk takes none of them, says so, and writes the newest when it does", async () => {
    const plane = await openPlane();
    plane.svidValidityMs = 4_000;
    const { client, server } = await startCallerAndCallee(plane);
    const file = join(dataDir, "catalog", "identity", "svid.pem");
    const isUnwritten = async (): Promise<boolean> => /^atoll_proxy_state_unwritten 1$/m.test((await get(server.ports["metrics"] ?? 0, "/metrics")).body);
    const lastWritten = new X509Certificate(chainIn(readFileSync(file, "utf8"))).validToDate.getTime();
    rmSync(file);
    mkdirSync(join(file, "in-the-way"), { recursive: true });
    const statuses = new Set<number>();
    while (systemClock.nowMs() < lastWritten + 2_000) statuses.add((await get(client.ports["outbound"] ?? 0, "/", { host })).status);
    expect([...statuses]).toEqual([200]);
    expect(await isUnwritten()).toBe(true);
    await eventually(() => plane.reports.find(({ unwritten = "" }) => /EISDIR|ENOTEMPTY|EEXIST/.test(unwritten)));
    rmSync(file, { recursive: true });
    await eventually(async () => ((await isUnwritten()) ? undefined : true));
    expect(new X509Certificate(chainIn(readFileSync(file, "utf8"))).validToDate.getTime()).toBeGreaterThan(lastWritten);
  }, 60_000);

  it("renews its identity while traffic flows", async () => {
    const plane = await openPlane();
    plane.svidValidityMs = 4_000;
    const { client } = await startCallerAndCallee(plane);
    const statuses = new Set<number>();
    while (plane.renewals < 4) statuses.add((await get(client.ports["outbound"] ?? 0, "/", { host })).status);
    expect([...statuses]).toEqual([200]);
  });
});

describe("a gateway between two clusters", () => {
  it("carries calls to the other cluster end to end, and its silence is noticed", async () => {
    const near = await openPlane("shop-us");
    const far = await openPlane("shop-eu");
    far.show({ inbound: new Map([[catalogPath, inboundOf()]]) });
    const server = await start("catalog", far.token(catalogPath), catalogWorkload(await openApp("far catalog")));
    far.show({ gatewayRoutes: [{ sni, host, endpoints: [endpoint(server.ports["inbound"] ?? 0)] }] });
    const gateway = await start("gateway", far.token("/atoll/gateway/shop-eu"), { mode: "gateway" });
    const gatewayPort = gateway.ports["gateway"] ?? 0;
    near.show({ services: [catalog([farPlace(gatewayPort)])] });
    const client = await start("storefront", near.token(storefrontPath), { region: "us-east" });
    const answer = await eventually(async () => {
      const got = await get(client.ports["outbound"] ?? 0, "/", { host });
      return got.status === 200 ? got : undefined;
    });
    expect(answer.body).toBe("far catalog for spiffe://shop.example/ns/web/sa/storefront");
    interface Stats {
      readonly gateways: readonly { readonly answers: boolean; readonly roundTripMs: number | null }[];
      readonly services: readonly { readonly places: readonly { readonly condition: { readonly lowered: boolean } }[] }[];
    }
    const measured = await eventually(async () => {
      const stats: Stats = await adminJson(client, "/stats");
      return typeof stats.gateways[0]?.roundTripMs === "number" ? stats : undefined;
    });
    expect(measured.services[0]?.places[0]?.condition.lowered).toBe(false);
    await gateway.stop();
    await eventually(async () => {
      const stats: Stats = await adminJson(client, "/stats");
      return stats.services[0]?.places[0]?.condition.lowered === true ? true : undefined;
    });
    // Neither backs a service, and each tells its plane what it sees all the same.
    expect(far.reports.find(({ instanceId }) => instanceId === "gateway")).toMatchObject({ ports: [], inboundPort: gatewayPort, unwritten: "" });
    const told = await eventually(() => near.reports.find(({ unreached = [] }) => unreached.length > 0));
    expect(told).toMatchObject({ instanceId: "storefront", ports: [], unreached: [{ cluster: "shop-eu" }] });
  }, 60_000);

  it("is restarted under GET and POST load, and nobody notices", async () => {
    const near = await openPlane("shop-us");
    const far = await openPlane("shop-eu");
    const apps = { near: await openSlowApp("near"), far: await openSlowApp("far") };
    near.show({ inbound: new Map([[catalogPath, inboundOf()]]) });
    far.show({ inbound: new Map([[catalogPath, inboundOf()]]) });
    const nearServer = await start("near-catalog", near.token(catalogPath), { ...catalogWorkload(apps.near), region: "us-east" });
    const farServer = await start("far-catalog", far.token(catalogPath), catalogWorkload(apps.far));
    far.show({ gatewayRoutes: [{ sni, host, endpoints: [endpoint(farServer.ports["inbound"] ?? 0)] }] });
    const gateway = await start("gateway", far.token("/atoll/gateway/shop-eu"), { mode: "gateway", drainMs: 2_000 });
    const gatewayPort = gateway.ports["gateway"] ?? 0;
    near.show({ services: [farFirst(catalog([{ ...localPlace([nearServer.ports["inbound"] ?? 0]), cluster: "shop-us" as ClusterId, region: "us-east" as RegionId }, farPlace(gatewayPort)]))] });
    const client = await start("storefront", near.token(storefrontPath), { region: "us-east" });
    const outbound = client.ports["outbound"] ?? 0;
    const served = new Map<string, number>();
    const bad: string[] = [];
    const one = async (method: "GET" | "POST"): Promise<string> => {
      const { status, body } = await call({ port: outbound, path: "/", method, headers: { host } });
      if (status !== 200) bad.push(`${method} ${status} ${body}`);
      served.set(body, (served.get(body) ?? 0) + 1);
      return body;
    };
    await eventually(async () => ((await one("GET")) === "far" && (await one("POST")) === "far" ? true : undefined));
    await eventually(async () => {
      const stats: { readonly gateways: readonly { readonly roundTripMs: number | null }[] } = await adminJson(client, "/stats");
      return typeof stats.gateways[0]?.roundTripMs === "number" ? true : undefined;
    });
    bad.length = 0;
    served.clear();

    const quiet = new AbortController();
    const user = async (method: "GET" | "POST"): Promise<void> => {
      while (!quiet.signal.aborted) await one(method);
    };
    const users = (["GET", "POST"] as const).flatMap((method) => Array.from({ length: 8 }, () => user(method)));
    const servedMore = (by: string, count: number): Promise<true> => {
      const before = served.get(by) ?? 0;
      return eventually(() => ((served.get(by) ?? 0) > before + count ? true : undefined));
    };
    try {
      await servedMore("far", 50);
      await gateway.stop();
      expect(served.get("near") ?? 0).toBeGreaterThan(0);
      await servedMore("near", 50);
      await start("gateway", undefined, { mode: "gateway", ports: { outbound: 0, inbound: 0, gateway: gatewayPort, admin: 0, metrics: 0 } });
      await servedMore("far", 5);
    } finally {
      quiet.abort();
      await Promise.allSettled(users);
    }
    expect(bad).toEqual([]);
    expect([...served.keys()].sort()).toEqual(["far", "near"]);
  });
});

function farPlace(gatewayPort: number): Place {
  return {
    kind: "remote",
    cluster: "shop-eu" as ClusterId,
    region: "eu-west" as RegionId,
    gateways: [{ address: "127.0.0.1", port: gatewayPort }],
    gatewayIdentity: "spiffe://shop.example/atoll/gateway/shop-eu" as SpiffeId,
    endpointsReady: 1,
    endpointsTotal: 1,
    asOfMs: systemClock.nowMs(),
  };
}

function farFirst(view: ServiceView): ServiceView {
  return { ...view, policy: { ...view.policy, locality: { mode: "ordered", order: ["eu-west", "us-east"] as RegionId[] } } };
}

/** An application that takes a moment, so that requests are under way at any time. */
function openSlowApp(name: string): Promise<number> {
  return listen(
    createServer((request, response) => {
      request.resume();
      request.once("end", () => systemClock.schedule(20, () => response.end(name)));
    }),
  );
}
